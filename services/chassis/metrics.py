"""What an operator must know of each process, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from services.chassis import settings

CALLS = Counter("lokos_calls", "Calls answered", ["rpc", "code"])
CALL_SECONDS = Histogram(
    "lokos_call_seconds",
    "Time to answer a call",
    ["rpc"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CALLS_SHED = Counter("lokos_calls_shed", "Calls refused because too many wait")
TOLD = Counter("lokos_events_told", "Events confirmed by the broker", ["service", "event"])
HEARD = Counter("lokos_events_heard", "Events by what became of them: handled, again, parked", ["service", "event", "outcome"])
HEARD_LAG_SECONDS = Gauge("lokos_events_lag_seconds", "Age of the event handled last", ["service", "event"])
PARKED = Gauge("lokos_events_parked", "Events that wait in the parked table for a mended handler", ["service"])
OUTBOX_WAITING = Gauge("lokos_outbox_waiting", "Events not yet confirmed by the broker", ["service"])
OUTBOX_AGE_SECONDS = Gauge("lokos_outbox_age_seconds", "Age of the oldest event not yet confirmed by the broker", ["service"])
POOL_IN_USE = Gauge("lokos_database_connections_in_use", "Database connections in use", ["service"])
POOL_SIZE = Gauge("lokos_database_connections_max", "Database connections at most", ["service"])
DATABASE_AWAY = Gauge("lokos_database_away", "1 while this process waits for its database", ["service"])
JOBS = Counter("lokos_jobs", "Jobs run, by outcome: done, failed", ["service", "job", "outcome"])
JOB_AGE_SECONDS = Gauge("lokos_jobs_age_seconds", "How late the job is that has been due longest", ["service"])
AUDIT_UNSEALED = Gauge("lokos_audit_unsealed", "Audit rows not yet sealed into the chain", ["service"])
AUDIT_BROKEN_AT = Gauge("lokos_audit_broken_at", "Place of the first row that does not fit the audit's chain; 0 where all fit", ["service"])
COPY_DRIFT = Gauge("lokos_copy_drift_blocks", "Blocks whose copy differs from its owner's tally", ["service", "copy"])


def start() -> None:
    """Serve this process's figures on METRICS_PORT, where that is set."""
    port = settings.number("METRICS_PORT", 0)
    if port:
        start_http_server(port, addr=settings.text("METRICS_HOST", "127.0.0.1"))
