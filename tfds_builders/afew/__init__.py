"""AFEW 7.0: 1,156 labelled clips of films in seven emotions. See README.md in this folder."""
