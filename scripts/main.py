#!/usr/bin/env python
"""The command line: main.py fit|validate|test|predict --config configs/convnet.yaml"""

from project.cli.main import main
from project.system.process import settle

if __name__ == "__main__":
    settle()
    main()
