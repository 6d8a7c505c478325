"""The report at full scale where only PyTorch, NumPy, OpenCV and scikit-image are installed."""
