"""What the site says about itself: privacy, and what search engines may list."""
