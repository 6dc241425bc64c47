"""What people run: notebooks executed and compared, a machine examined, a student's copy."""
