"""Where orders are executed and where market data comes from: implementations of the protocols of `trading`."""
