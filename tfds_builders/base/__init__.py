"""What the builders share: sources, builders of stills and clips, resumable work, checks. Not a data set."""
