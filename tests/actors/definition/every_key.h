// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace millrace::actors::testing {

/// Every key that a definition may have, none with its default.
inline constexpr std::string_view every_key = R"(
version: 1
name: every-key
description: "All of them: \"quoted\", ünïcode, tab\tand line\nends."
labels: {team: data, tier: 1, "a/b": "yes"}
x-ignored: {anything: [goes]}
params:
  day: {type: string, default: today, enum: [today, yesterday], description: Which day.}
  count: {type: int, default: -3, enum: [-3, 9223372036854775807, -9223372036854775808]}
  ratio: {type: float, default: 1, enum: [1, 0.1, 1e-7, 2.5e+300]}
  publish: {type: bool, default: false}
  region: {required: true}
  note: {}
  short: text
  names: [a, "b c", 3]
  hosts: [{name: a, port: 1}, plain]
  limits: {type: map, default: {memory: 0.5, strict: true}}
env: {A: one, E: "${{ params.day }}", EMPTY: ""}
timeout: 1h30m
grace_period: 0
workspace: task
max_parallel: 7
fail_fast: true
priority: low
pool: big
retention: {runs: 50, age: 30d}
schedule:
  - name: nightly
    cron: "0 3 * * MON-FRI"
    timezone: Europe/Berlin
    start: 2026-01-31T08:00:00+01:00
    end: 2027-01-31T08:00:00.5Z
    jitter: 5m
    overlap: replace
    catchup: all
    catchup_window: 2d
    params: {day: yesterday, count: -3, region: eu, names: [x], limits: {memory: 1}}
    paused: true
  - {name: often, every: 90s, overlap: allow, catchup: none, params: {region: us}}
concurrency: {group: "${{ params.day }}", limit: 3, on_limit: cancel_oldest}
outputs: {all: "${{ tasks.each.status }} of ${{ run.id }}", none: ""}
revert: {after: 2}
triggers:
  - {pipeline: import, on: end, params: {day: "${{ trigger.params.day }}", count: 1, region: eu},
     once_for: "${{ trigger.outputs.all }}"}
  - {pipeline: other, params: {region: us}}
  - webhook: github
    signature: {secret: github-key}
    when: ${{ trigger.headers.x-github-event == 'push' }}
    params: {day: "${{ trigger.body.head['a.b'].0 }}", region: eu}
    once_for: ${{ trigger.body.after }}
  - {webhook: bare, when: "false", params: {region: us}}
  - watch: source
    cron: "*/5 * * * *"
    timezone: Europe/Berlin
    jitter: 30s
    paused: true
    command: [list, "a b"]
    env: {LC_ALL: C}
    secrets: {TOKEN: {from: project, key: api-token}}
    timeout: 30s
    first: all
    params: {day: "${{ trigger.version.name['a.b'].0 }}", region: eu}
  - {watch: feed, every: 1m, run: echo 1, shell: [bash, -c], params: {region: us}}
defaults:
  retry: {max_attempts: 2, delay: 3s, backoff: 1.5, max_delay: 1m, jitter: 0}
  timeout: 10m
  env: {D: default}
  shell: [bash, -euo, pipefail, -c]
tasks:
  - name: list.all_1
    description: Lists.
    run: |
      echo "a: b"  # no comment
      echo 'c'
    workdir: a/${{ params.day }}
    inputs: {list: [1, two, {three: "${{ params.names }}"}], flag: true,
             text: "day ${{ params.day }}"}
    outputs: {files: The files., count: {description: How many.}, rest: {default: none}}
    secrets:
      TOKEN: {from: project, key: api-token}
      PASSWORD: {from: file, key: database/password}
      _other: {from: env, key: OTHER}
    success_exit_codes: [3, 0, 3]
    stdout: said
    cache: {key: "${{ params.day }} of ${{ run.id }}", ttl: 1h30m}
    heartbeat: 1s
    priority: idle
    pool: gpu-1
    preemptible: cancel
    resources: {cpu: 0.5, memory: 512Mi, gpu: 2}
    limits: {memory: 1536Mi}
    artifacts:
      tool: bin/tool
      report: {path: [out/*.xml, "${{ params.day }}/**"], max_size: 10Mi, optional: true}
  - name: each
    command: [printf, "%s", "${{ item }}", "", " padded ", "true"]
    needs: list.all_1
    run_on: always
    when: ${{ params.publish && params.count > -4 }}
    env: {A: over, N: 1e3}
    timeout: 250ms
    start_timeout: ${{ item }}s
    stdout: list
    outputs: [list, more]
    grace_period: 5s
    detach: allowed
    retry: never
    for_each: ${{ tasks['list.all_1'].outputs.files }}
    max_parallel: 2
    fail_fast: false
    on_empty: fail
    allow_failures: 10%
    priority: 1000000000
    synchronization:
      mutexes: ["deploy ${{ item }}", site]
      semaphores: [{name: database, limit: 3}]
  - name: pairs
    run: x
    needs: [{task: list.all_1, instances: all, artifacts: report}, each]
    artifacts: {log: "${{ matrix.os }}.log"}
    cache: true
    run_on: any
    when: "true"
    retry: {max_attempts: 1000, jitter: 1, delay: 10m, on_exit: [75, 255, 1, 75], not_on_exit: 2,
            command: [resume, "${{ matrix.os }}", ""]}
    timeout: "${{ params.note }}"
    allow_failures: true
    matrix:
      os: [debian, "12", 12, 1.5, true, "${{ params.day }}"]
      python: ["3.10"]
      extra: ${{ tasks.each.outputs.list }}
      include: [{os: fedora, python: "3.12", extra: 1}]
      exclude: [{os: 12}, {python: "3.10", os: true}]
  - {name: gate, approval: "Go on with ${{ params.day }}?", needs: [list.all_1], timeout: 1h}
  - {name: last, run: x, shell: sh, workdir: /srv, run_on: failure,
     needs: [{task: pairs, artifacts: true}],
     retry: {max_attempts: 3, run: go on, shell: [sh, -c]}, success_exit_codes: 255,
     start_timeout: 10m, heartbeat: "${{ params.note }}",
     for_each: [1, 2.0, no it is, false], allow_failures: 3,
     on_cancel: echo gone,
     finally: {description: Tidies., command: [rm, "${{ tasks.last.status }}"], timeout: 1h,
               grace_period: 1s, env: {A: over}, secrets: {T: {from: env, key: T}}, workdir: /tmp,
               inputs: {a: 1}, retry: {max_attempts: 2, delay: 1s, run: again}}}
  - {name: other, pipeline: every-key, needs: [gate], for_each: [1, 2], allow_failures: 1,
     params: {count: "${{ item }}", names: [a, "${{ params.day }}"], deep: {flag: true, none: ""}}}
  - {name: told, needs: [list.all_1], timeout: 1h, callback: {prompt: "Of ${{ params.day }}"}}
  - {name: silent, callback: {}}
  - {name: records, for_each: [{host: "${{ params.day }}", port: 1.5}, {}, 2], run: x,
     env: {A: "${{ item.host }}", B: "${{ extract(item['host'], '^v(\\d+)') }}"}}
  - {name: zipped, for_each: "${{ zip(a=params.names, b=params.hosts) }}", run: x,
     when: "${{ matches(item.a, '[ab]') }}"}
  - {name: included, matrix: {include: [{os: a, cc: gcc}, {cc: clang, os: b}]}, run: x}
  - {name: gang, ranks: 3, preemptible: never, command: [train, "${{ params.day }}"]}
  - {name: called, actor: "counter/of ${{ params.day }}/a", method: add_up, timeout: 5s,
     for_each: [1, 2], max_parallel: 1, retry: {max_attempts: 3, delay: 1s},
     labels: {team: data, tier: 1, "a/b": "yes"}, outputs: [total],
     params: {amount: "${{ item }}", deep: {names: "${{ params.names }}", none: ""}}}
on_success: {run: x, shell: [sh, -c]}
on_failure: {command: [tell, "${{ run.reason }}"]}
finally: x
)";

}  // namespace millrace::actors::testing
