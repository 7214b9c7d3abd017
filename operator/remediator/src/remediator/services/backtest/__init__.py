"""``remediator backtest``: reads policies, FlinkDeployments and past alerts, replays them, and says what came of it."""
