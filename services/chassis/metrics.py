"""What an operator must know of each process, for Prometheus; docs/operate.md says what each tells (What to watch)."""

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, REGISTRY, Counter, Gauge, Histogram, Info, disable_created_metrics, start_http_server

from services.chassis import settings, version

# Of the process itself its start, memory and files are worth keeping; Python's own matters, and when a counter began, are not.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the one function of its that has no types
REGISTRY.unregister(GC_COLLECTOR)
REGISTRY.unregister(PLATFORM_COLLECTOR)

# A label takes its values from what we wrote (RPCs, events, jobs, services, states), never from what somebody sent, and is
# never called `job` or `instance`, which are Prometheus's own. A counter whose first increase must be seen is there at 0
# before: `labels` makes it.
Info("lokos_build", "Which version runs").info({"version": version.VERSION})
CALLS = Counter("lokos_calls", "Calls answered", ["rpc", "code"])
CALL_SECONDS = Histogram(
    "lokos_call_seconds",
    "Time to answer a call",
    ["rpc"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CALLS_SHED = Counter("lokos_calls_shed", "Calls refused because too many wait")
CERTIFICATE_SECONDS_LEFT = Gauge("lokos_certificate_seconds_left", "Time until a certificate that this process holds ends", ["setting"])
CLOCK_SKEW = Counter("lokos_clock_skew", "Tokens refused because they are of a time to come, by who signed them", ["issuer"])
ENDED_SESSIONS_AGE_SECONDS = Gauge("lokos_ended_sessions_age_seconds", "Time since this process last heard which sessions ended", ["service"])
TOLD = Counter("lokos_events_told", "Events confirmed by the broker", ["service", "event"])
HEARD = Counter("lokos_events_heard", "Events by what became of them: handled, again, parked", ["service", "event", "outcome"])
REDELIVERED = Counter("lokos_events_redelivered", "Events that the broker handed out once more", ["service", "event"])
HEARD_LAG_SECONDS = Gauge("lokos_events_lag_seconds", "Age of the oldest event that came and is not handled yet; 0 if none", ["service", "event"])
QUEUE_WAITING = Gauge("lokos_queue_waiting", "Events that wait with the broker for a consumer to take them", ["service", "event"])
PARKED = Gauge("lokos_events_parked", "Events that wait in the parked table for a mended handler", ["service"])
OUTBOX_WAITING = Gauge("lokos_outbox_waiting", "Events not yet confirmed by the broker, counted to 10,000", ["service"])
OUTBOX_AGE_SECONDS = Gauge("lokos_outbox_age_seconds", "Age of the oldest event not yet confirmed by the broker", ["service"])
POOL_IN_USE = Gauge("lokos_database_connections_in_use", "Database connections in use", ["service"])
POOL_SIZE = Gauge("lokos_database_connections_max", "Database connections at most", ["service"])
POOL_REFUSED = Counter("lokos_database_connections_refused", "Times that no database connection was free in time", ["service"])
DATABASE_AWAY = Gauge("lokos_database_away", "1 while this process cannot reach its database", ["service"])
JOBS = Counter("lokos_jobs", "Jobs run, by outcome: done, failed", ["service", "name", "outcome"])
JOB_AGE_SECONDS = Gauge("lokos_jobs_age_seconds", "How late the job is that has been due longest", ["service"])
AUDIT_UNSEALED_AGE_SECONDS = Gauge("lokos_audit_unsealed_age_seconds", "Age of the oldest audit row not yet sealed into the chain", ["service"])
AUDIT_BROKEN_AT = Gauge("lokos_audit_broken_at", "Place of the first row that does not fit the audit's chain; 0 where all fit", ["service"])
READY = Gauge("lokos_ready", "1 once this part of the process does its work for the service", ["service", "part"])
CONNECTIONS = Gauge("lokos_connections", "Connections to the ports for calls, and one for each such port that is listened on")
COPY_DRIFT = Gauge("lokos_copy_drift_blocks", "Blocks whose copy differs from its owner's tally", ["service", "copy"])


def start() -> None:
    """Serve this process's figures on METRICS_PORT, where that is set."""
    port = settings.number("METRICS_PORT", 0)
    if port:
        start_http_server(port, addr=settings.text("METRICS_HOST", "127.0.0.1"))
