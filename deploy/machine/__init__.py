"""One machine that runs whole states: private PostgreSQL and RabbitMQ, and every process under a supervisor.

For people: `python3 -m deploy.machine --help`. For tests and the demo: `deploy.machine.machine.Machine`.
"""
