"""What is away, drained, or back; which jobs are over; and who is told."""
