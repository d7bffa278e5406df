"""Any folder or zip archive of pictures by class. See README.md in this folder."""
