"""What went wrong, and what stands in the way: findings and stories, as values to be printed."""
