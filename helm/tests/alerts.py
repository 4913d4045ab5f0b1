# SPDX-License-Identifier: MIT
"""What each alert of the chart fires for, as input for `promtool test rules`.

Every alert has a case of its own, in which exactly that one fires, and a healthy cluster in which
none does is the ground on which the cases stand.
"""

silos = [f"millrace-silo-{at}" for at in range(3)]
hours = 12  # of a minute a sample


def series(name, pod="millrace-silo-0", service="millrace-silo", **labels):
    all_labels = {"namespace": "demo", "service": service, "pod": pod, **labels}
    return f"{name}{{{','.join(f'{key}={chr(34)}{value}{chr(34)}' for key, value in all_labels.items())}}}"


def steady(value):
    return f"{value}+0x{60 * hours}"


def growing(by):
    return f"0+{by}x{60 * hours}"


def times(name, slow, **labels):
    """A histogram that takes 60 more a minute, all in 10 ms, or all in 10 s."""
    return {
        series(f"{name}_bucket", le="0.01", **labels): growing(0 if slow else 60),
        series(f"{name}_bucket", le="10", **labels): growing(60),
        series(f"{name}_bucket", le="+Inf", **labels): growing(60),
    }


def claim(name, value):
    return {f'{name}{{namespace="demo",persistentvolumeclaim="data-millrace-silo-0"}}': steady(value)}


def cluster_gauge(name, value):
    return {series(f"millrace_cluster_{name}"): steady(value)}


healthy = {
    **{series("up", pod=each): steady(1) for each in silos},
    series("up", pod="g", service="millrace"): steady(1),
    series("up", pod="h", service="millrace"): steady(0),
    series("up", pod="millrace-executor-0", service="millrace-executor"): steady(1),
    **{series("millrace_cluster_store_reachable", pod=each): steady(1) for each in silos},
    **cluster_gauge("partitions_without_leader", 0), **cluster_gauge("partitions_below_minimum", 0),
    **cluster_gauge("partitions_single_copy", 0), **cluster_gauge("partitions_below_copies", 0),
    **cluster_gauge("losses_unacknowledged", 0), **cluster_gauge("links_down", 0),
    **cluster_gauge("copy_lag_seconds", 0.02), **cluster_gauge("ejections_total", 768),
    series("millrace_storage_overlay_bytes"): steady(32 << 20),
    **times("millrace_storage_flush_seconds", False),
    series("millrace_storage_map_used_ratio"): steady(0.3),
    **claim("kubelet_volume_stats_available_bytes", 70), **claim("kubelet_volume_stats_capacity_bytes", 100),
    series("millrace_runtime_calls_total", type="run", method="get", outcome="ok"): growing(600),
    series("millrace_runtime_calls_total", type="run", method="get", outcome="not_found"): growing(600),
    series("millrace_runtime_calls_total", type="run", method="get", outcome="unavailable"): growing(6),
    **times("millrace_runtime_call_seconds", False, type="pipeline"),
    **times("millrace_runtime_call_seconds", True, type="run"),  # such as those for events to come
    series("millrace_runtime_overloaded_total"): steady(5),
    series("millrace_runtime_dead_letters_total", type="run"): steady(2),
    series("millrace_runtime_stuck_threads_total"): steady(1),
    series("millrace_runtime_memory_exhausted_total"): steady(1),
    series("millrace_executor_busy_seconds"): steady(0),
    series("millrace_gateway_rejected_total", pod="g", service="millrace"): growing(6),
    series("millrace_gateway_certificate_left_seconds", pod="g", service="millrace"): steady(30 * 86400),
    series("millrace_gateway_tokens_age_seconds", pod="g", service="millrace"): steady(21),
    **cluster_gauge("certificate_left_seconds", 40 * 86400),
    **cluster_gauge("authority_left_seconds", 300 * 86400),
}

# What differs from the healthy cluster, for each alert.
fires = {
    "MillraceSiloDown": {series("up", pod=silos[1]): steady(0)},
    "MillraceExecutorsDown": {series("up", pod="millrace-executor-0", service="millrace-executor"): steady(0)},
    "MillraceGatewaysDown": {series("up", pod="g", service="millrace"): steady(0)},
    "MillracePartitionsWithoutLeader": cluster_gauge("partitions_without_leader", 1),
    "MillraceWritesRefused": cluster_gauge("partitions_below_minimum", 1),
    "MillraceSingleCopy": cluster_gauge("partitions_single_copy", 1),
    "MillraceUnderReplicated": cluster_gauge("partitions_below_copies", 1),
    "MillraceDataLost": cluster_gauge("losses_unacknowledged", 1),
    "MillraceCoordinationUnreachable": {series("millrace_cluster_store_reachable", pod=silos[2]): steady(0)},
    "MillraceLinksDown": cluster_gauge("links_down", 1),
    "MillraceCopyLag": cluster_gauge("copy_lag_seconds", 2),
    "MillraceCopiesLeave": {series("millrace_cluster_ejections_total"): growing(60)},
    "MillraceCheckpointLag": {series("millrace_storage_overlay_bytes"): steady(250 << 20)},
    "MillraceSlowDisk": times("millrace_storage_flush_seconds", True),
    "MillraceStorageFull": {series("millrace_storage_map_used_ratio"): steady(0.82)},
    "MillraceVolumeFull": claim("kubelet_volume_stats_available_bytes", 10),
    "MillraceCallsFail": {
        series("millrace_runtime_calls_total", type="run", method="get", outcome="unavailable"): growing(200)},
    "MillraceCallsSlow": times("millrace_runtime_call_seconds", True, type="pipeline"),
    "MillraceOverloaded": {series("millrace_runtime_overloaded_total"): growing(1)},
    "MillraceDeadLetters": {series("millrace_runtime_dead_letters_total", type="run"): growing(1)},
    "MillraceTurnsStuck": {series("millrace_runtime_stuck_threads_total"): growing(1)},
    "MillraceMemoryExhausted": {series("millrace_runtime_memory_exhausted_total"): growing(1)},
    "MillraceExecutorStuck": {series("millrace_executor_busy_seconds"): steady(61)},
    "MillraceRequestsRejected": {series("millrace_gateway_rejected_total", pod="g", service="millrace"): growing(120)},
    "MillraceHttpsCertificateEnds": {
        series("millrace_gateway_certificate_left_seconds", pod="g", service="millrace"): steady(13 * 86400)},
    "MillraceAuthorityEnds": cluster_gauge("authority_left_seconds", 13 * 86400),
    "MillraceTokensOld": {
        series("millrace_gateway_tokens_age_seconds", pod="g", service="millrace"): steady(130)},
    "MillraceCertificateEnds": cluster_gauge("certificate_left_seconds", 36 * 86400),
}


def case(name, changed, expected):
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in {**healthy, **changed}.items()],
        "promql_expr_test": [{
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": "1h",
            "exp_samples": [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in expected],
        }],
    }


def tests(names):
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [case("a healthy cluster", {}, [])] + [case(each, fires.get(each, {}), [each]) for each in names],
    }
