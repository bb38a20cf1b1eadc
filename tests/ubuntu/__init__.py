"""A simulated Ubuntu host: a Debian container with files, archive and upgrader like Ubuntu's."""
