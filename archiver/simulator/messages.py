"""What failing deployments say: the usual errors of a container platform, with varying names and numbers."""

from archiver.simulator.dice import Dice

_DEPLOY = (
    'Failed to pull image "{image}": rpc error: code = Unknown desc = failed to resolve reference: not found',
    'Back-off pulling image "{image}" on node {node}; container {name} of pod {pod} is in ImagePullBackOff',
    "Readiness probe failed: Get http://{ip}:8080/health: context deadline exceeded (pod {pod}, {n} tries)",
    "Liveness probe failed: HTTP probe failed with statuscode: 50{digit}; pod {pod} was restarted {n} times",
    "wait for component instance ready timeout: {n} of 12 instances ready after 600s, job {uuid}",
    "exceeded quota: compute-resources, requested: limits.cpu={n}, used: 6{digit}, limited: 64",
    "0/{n} nodes are available: 3 Insufficient memory, {digit} node(s) had taint {{dedicated: gpu}}.",
    "container {name} in pod {pod} on {node} was OOMKilled (exit code 137), memory limit {n}12Mi",
    "create load balancer listener failed: request id {hex}, elb {uuid} is in status PENDING_UPDATE",
    "dial tcp {ip}:3306: connect: connection refused; init container db-migrate exited with code {digit}",
)
# Every character that a later table, page, log line or cell could stumble over.
_AWKWARD = (
    "启动失败:实例 {pod} 未在 600 秒内就绪(节点 {node})",
    "Probe failed \U0001f525 after {n} tries on {node}, see the dashboard \U0001f4c9",
    '<error code="{n}">invalid value for \'replicas\' & "strategy"</error></script>',
    "helm upgrade failed | release {name} | revision {n} | another operation is in progress",
    'panic: runtime error: index {n}\n\ngoroutine 1 [running]:\n\t/app/main.go:{n}{digit}\r\nexit "2"',
    '{{"kind":"Status","code":4{digit}2,"message":"Deployment.apps \\"{name}\\" is immutable"}}',
    '=HYPERLINK("http://{ip}/log","log of {pod}")',
)
_ROLLBACK = (
    "rollback failed: version {hex} of component {name} no longer exists in repository",
    "rollback timeout: {n} of 12 instances of {name} still run the new version after 300s",
    "回滚失败:实例 {pod} 健康检查未通过 | node={node}",
)


def deploy_failure(dice: Dice, name: str) -> str:
    """Say why a deployment failed; about one in eight is awkward to store or show."""
    return _filled(dice, dice.pick(_AWKWARD if dice.chance(120) else _DEPLOY), name)


def rollback_failure(dice: Dice, name: str) -> str:
    """Say why a rollback failed."""
    return _filled(dice, dice.pick(_ROLLBACK), name)


def _filled(dice: Dice, template: str, name: str) -> str:
    ip = f"10.{dice.below(64)}.{dice.below(256)}.{dice.between(2, 254)}"
    return template.format(
        name=name,
        ip=ip,
        node="node-" + ip.replace(".", "-"),
        pod=f"{name}-{dice.hex(9)}-{dice.hex(5)}",
        image=f"swr.example.com/apps/{name}:{dice.between(1, 9)}.{dice.below(40)}.{dice.below(900)}",
        n=dice.between(2, 11),
        digit=dice.below(10),
        uuid=dice.uuid(),
        hex=dice.hex(32),
    )
