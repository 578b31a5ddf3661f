"""Numbers, colours and the HTML page that reports share with the trainer."""
