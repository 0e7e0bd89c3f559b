"""What tests share: real browsers, processes and listeners."""
