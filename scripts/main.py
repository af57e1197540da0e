#!/usr/bin/env python
"""The command line: main.py fit|validate|test|predict|export|compare"""

from project.cli.main import main

if __name__ == "__main__":
    main(own_process=True)
