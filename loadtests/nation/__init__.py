"""A synthetic nation: members by the crore, loaded as the services would have stored them. `python -m loadtests.nation --help`"""
