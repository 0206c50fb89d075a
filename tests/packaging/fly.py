"""fly.toml as Fly documents it: every key of the sections that an app without volumes and static files can have.

Source: fly.io/docs/reference/configuration (repository superfly/docs, reference/configuration.mdx, commit 8f45520) and
fly.io/docs/launch/processes. A key that the page doesn't name is refused, and so is a value of another form.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ms|s|m|h)$")] | Annotated[int, Field(ge=1)]
"""With a unit; a number alone is milliseconds, or seconds for kill_timeout."""
Memory = Annotated[str, StringConstraints(pattern=r"(?i)^[1-9][0-9]*(mb|gb)$")] | Annotated[int, Field(ge=256)]
Port = Annotated[int, Field(ge=1, le=65535)]
Path = Annotated[str, StringConstraints(pattern=r"^/\S*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Size = Annotated[str, StringConstraints(pattern=r"^(shared-cpu-[1248]x|performance-(1|2|4|8|16)x)$")]
Signal = Literal["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP"]


class Section(BaseModel):
    """A table of fly.toml."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Section):
    builder: str | None = None
    buildpacks: list[str] = []
    image: str | None = None
    dockerfile: str | None = None
    ignorefile: str | None = None
    build_target: str | None = Field(default=None, alias="build-target")
    args: dict[str, str] = {}


class Machine(Section):
    """[[vm]], and [deploy.release_command_vm] without processes."""

    size: Size | None = None
    memory: Memory | None = None
    cpus: Literal[1, 2, 4, 8, 16] | None = None
    cpu_kind: Literal["shared", "performance"] | None = None
    kernel_args: str | None = None
    host_dedication_id: str | None = None
    persist_rootfs: Literal["never", "restart", "always"] | None = None
    processes: list[Name] = []


class Deploy(Section):
    release_command: str | None = None
    release_command_timeout: Duration | None = None
    release_command_vm: Machine | None = None
    strategy: Literal["rolling", "immediate", "canary", "bluegreen"] | None = None
    max_unavailable: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None = None
    wait_timeout: Duration | None = None


class Concurrency(Section):
    type: Literal["connections", "requests"] | None = None
    soft_limit: Annotated[int, Field(ge=1)] | None = None
    hard_limit: Annotated[int, Field(ge=1)] | None = None


class ServiceCheck(Section):
    grace_period: Duration | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    method: Literal["GET", "get", "HEAD", "head", "POST", "post"] | None = None
    path: Path | None = None
    protocol: Literal["http", "https"] | None = None
    tls_server_name: str | None = None
    tls_skip_verify: bool | None = None
    headers: dict[str, str] = {}


class HttpService(Section):
    processes: list[Name] = []
    internal_port: Port
    force_https: bool | None = None
    auto_stop_machines: Literal["off", "stop", "suspend"] | None = None
    auto_start_machines: bool | None = None
    min_machines_running: Annotated[int, Field(ge=0)] | None = None
    concurrency: Concurrency | None = None
    checks: list[ServiceCheck] = []


class Check(Section):
    """[checks.<name>]: port and type are required."""

    port: Port
    type: Literal["http", "tcp"]
    processes: list[Name] = []
    grace_period: Duration | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    method: Literal["GET", "get", "HEAD", "head", "POST", "post"] | None = None
    path: Path | None = None
    headers: dict[str, str] = {}

    @model_validator(mode="after")
    def _only_http_has_a_path(self) -> Self:
        if self.type == "tcp" and (self.method or self.path or self.headers):
            raise ValueError("method, path and headers are for http checks")
        return self


class Metrics(Section):
    port: Port
    path: Path
    processes: list[Name] = []


class Restart(Section):
    policy: Literal["always", "never", "on-failure"]
    retries: Annotated[int, Field(ge=0)] | None = None
    processes: list[Name] = []


class FlyConfig(Section):
    """The file. Every process group that a section names has to be in [processes]."""

    app: Name
    primary_region: Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")] | None = None
    kill_signal: Signal | None = None
    kill_timeout: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[sm]$")] | Annotated[int, Field(le=300)] = 5
    console_command: str | None = None
    swap_size_mb: Annotated[int, Field(ge=1)] | None = None
    build: Build | None = None
    deploy: Deploy | None = None
    env: dict[Variable, str] = {}
    http_service: HttpService | None = None
    checks: dict[Name, Check] = {}
    processes: dict[Name, Annotated[str, StringConstraints(min_length=1)]] = {}
    metrics: list[Metrics] | Metrics = []
    vm: list[Machine] = []
    restart: list[Restart] = []

    @model_validator(mode="after")
    def _no_name_is_reserved(self) -> Self:
        if reserved := [name for name in self.env if name.startswith("FLY_")]:
            raise ValueError(f"Fly.io sets these itself: {', '.join(reserved)}")
        return self

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        metrics = self.metrics if isinstance(self.metrics, list) else [self.metrics]
        lists = [self.http_service.processes] if self.http_service else []
        lists += [check.processes for check in self.checks.values()]
        lists += [section.processes for section in metrics] + [section.processes for section in self.vm]
        lists += [section.processes for section in self.restart]
        named = {group for groups in lists for group in groups}
        if unknown := named - (self.processes.keys() or {"app"}):
            raise ValueError(f"no process group is named {', '.join(sorted(unknown))}")
        return self
