"""Configuration of Apache Kafka for tests and demonstrations: small, fast to start, short timeouts."""

WATCHED = """exec 3<&0
(read -r line || { kill -9 $$; test -z "$0" || { sleep 1; rm -rf "$0"; }; }) <&3 >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-"""
"""Shell script that runs "$@" with a watchdog: if the pipe closes without a line (this process died), the watchdog
kills the broker and removes the folder $0, if given. A death signal (PR_SET_PDEATHSIG) is unsuitable, because it is
sent when the starting *thread* ends.
"""

JVM = (
    "-Xms128m",
    "-Xmx512m",
    # Short runs on few cores: fast compilation, single-threaded garbage collection, no files elsewhere.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
num.partitions={partitions}
auto.create.topics.enable=true

# One node and few internal partitions start faster.
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
num.network.threads=2
num.io.threads=4
background.threads=4

# A restarted node waits until its controller has expired the old one: 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300

# Tests should not wait for joining members, for dead members or for the cleaner.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.initial.task.delay.ms=500
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=8388608
log.retention.check.interval.ms=1000
"""
