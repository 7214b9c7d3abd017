"""What the remediator says about itself."""
