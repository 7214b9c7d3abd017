"""The core and the adapters put together: one service per thing the remediator does."""
