#!/usr/bin/env python
"""The command line: main.py fit|validate|test|predict --config configs/convnet.yaml"""

from project.cli import main

if __name__ == "__main__":
    main()
