"""What is kept between two starts: texts and settings."""
