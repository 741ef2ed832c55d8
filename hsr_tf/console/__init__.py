"""What command-line programs share: flags, exit codes, colours and progress."""
