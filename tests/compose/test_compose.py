"""docker-compose.yml for real: what runs is confined, each process has its own secrets only, and kills are survived."""

import json
import re
import subprocess

import pytest

SERVERS = ["postgres", "nats", "valkey"]
PROCESSES = ["gateway", "content", "generation", "driver", "analytics", "notifications", "comfyui-simulator"]
OWNERS = [f"{service}-migrate" for service in ("content", "generation", "analytics", "notifications")]
JOBS = ["secrets", "provision", *OWNERS]


def test_the_main_job(deployment) -> None:
    print(f"up --wait took {deployment.seconds_to_start:.1f} s")
    assert "The main job works" in deployment.smoke()


def test_everything_runs_and_the_jobs_are_done(deployment) -> None:
    seen = {deployment.service_of(each): each["State"] for each in deployment.containers()}
    assert sorted(seen) == sorted([*SERVERS, *PROCESSES, *JOBS])
    assert {name for name, state in seen.items() if state["Running"]} == {*SERVERS, *PROCESSES}
    assert all(seen[name]["Health"]["Status"] == "healthy" for name in (*SERVERS, *PROCESSES))
    assert all(seen[name]["ExitCode"] == 0 for name in JOBS)


def test_every_container_is_confined(deployment) -> None:
    for container in deployment.containers():
        name, host = deployment.service_of(container), container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["Init"], name
        assert 0 < host["Memory"] <= 1280 * 1024**2, name
        assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False), name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["RestartPolicy"]["Name"] == ("on-failure" if name in JOBS else "unless-stopped"), name


def test_nobody_is_root_or_writes_to_its_image(deployment) -> None:
    for container in deployment.running():
        name = deployment.service_of(container)
        # All of its processes, Docker's own init among them.
        users = {line.split()[0] for line in deployment.top(container)}
        assert users, name
        assert users & {"0", "root"} == set(), name
        with pytest.raises(AssertionError, match="Read-only file system"):
            deployment.execute(container, "sh", "-c", "echo x > /etc/probe")


def test_only_the_gateway_is_reached_from_outside_and_from_this_machine_only(deployment) -> None:
    published = {
        deployment.service_of(each): each["NetworkSettings"]["Ports"]["8001/tcp"]
        for each in deployment.running()
        if any(each["NetworkSettings"]["Ports"].values())
    }
    assert published == {"gateway": [{"HostIp": "127.0.0.1", "HostPort": deployment.environment["API_PORT"]}]}


def test_servers_reach_nothing_outside(deployment) -> None:
    for container in deployment.containers(*SERVERS, "comfyui-simulator"):
        (network,) = container["NetworkSettings"]["Networks"].values()
        (seen,) = json.loads(deployment.docker("network", "inspect", network["NetworkID"]))
        assert seen["Internal"], deployment.service_of(container)


def test_no_secret_shows_where_secrets_are_looked_for(deployment) -> None:
    kept = ["run", "--rm", "--no-deps", "--entrypoint", "sh", "secrets", "-c"]
    passwords = deployment.compose(*kept, "grep -h '' /var/lib/genonaut/secrets/passwords/*").split()
    assert len(passwords) > 15
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in passwords)

    containers = deployment.containers()
    images = {each["Image"] for each in containers}
    shown = json.dumps(containers) + deployment.compose("config") + deployment.compose("logs")
    shown += "".join(deployment.docker("history", "--no-trunc", image) for image in images)
    assert [password for password in passwords if password in shown] == []


def test_each_process_sees_its_own_secrets_only(deployment) -> None:
    seen = {
        deployment.service_of(each): set(deployment.execute(each, "ls", "/run/secrets").split())
        for each in deployment.running()
        if deployment.service_of(each) != "comfyui-simulator"
    }
    own = {"database_url", "nats_url", "api_secret_key"}
    assert seen == {
        "postgres": {"postgres_password"},
        "nats": {"accounts.conf"},
        "valkey": {"valkey.conf"},
        "gateway": {"nats_url", "redis_url", "api_secret_key"},
        **dict.fromkeys(("generation", "driver", "analytics", "notifications"), own),
        "content": {*own, "redis_url"},
    }
    for container in deployment.containers("content", "driver"):
        assert "genonaut_admin" not in deployment.execute(container, "cat", "/run/secrets/database_url")
    (simulator,) = deployment.containers("comfyui-simulator")  # which needs none
    deployment.execute(simulator, "test", "!", "-e", "/run/secrets")


def test_nothing_to_compile_with_is_in_an_image(deployment) -> None:
    (container,) = deployment.containers("content")
    for tool in ("gcc", "cc", "make", "uv", "pip"):
        path = "PATH=/opt/genonaut/bin"  # the base image has a pip of its own Python, which serves nobody here
        with pytest.raises(AssertionError):
            deployment.execute(container, "sh", "-c", f"{path if tool == 'pip' else ':'}; command -v {tool}")


def test_an_image_has_one_service(deployment) -> None:
    for name in ("gateway", "content", "generation", "analytics", "notifications"):
        (container,) = deployment.containers(name)
        listed = deployment.execute(
            container, "python", "-c", "import genonaut, os; print(*map(os.listdir, genonaut.__path__))"
        )
        assert set(re.findall(r"'(\w+)'", listed)) == {"contracts", "platform", name}


@pytest.mark.parametrize("service", OWNERS)
def test_projections_are_rebuilt_by_the_owner(deployment, service: str) -> None:
    """What an operator types: the same image, with the rights of the owner."""
    deployment.smoke()
    answer = deployment.compose("run", "--rm", "--no-deps", service, "replay", "rebuild", "--all", "--json")
    reports = json.loads(answer)
    assert reports
    assert all(report["equal"] for report in reports), reports


def test_an_operator_s_command_works_in_a_service(deployment) -> None:
    assert "No dead letters wait" in deployment.compose(
        "exec", "-T", "generation", "genonaut", "generation", "dead-letters", "list"
    )


def test_up_again_changes_no_password_and_nats_reads_its_users_again(deployment) -> None:
    before = deployment.containers(*SERVERS, *PROCESSES)
    (nats,) = deployment.containers("nats")

    deployment.up()

    after = deployment.containers(*SERVERS, *PROCESSES)
    assert [each["Id"] for each in after] == [each["Id"] for each in before]
    assert [each["RestartCount"] for each in after] == [each["RestartCount"] for each in before]
    assert deployment.docker_logs(nats).count("Reloaded server configuration") >= 2
    deployment.smoke()


@pytest.mark.parametrize("service", [*SERVERS, *PROCESSES])
def test_a_kill_is_survived(deployment, service: str) -> None:
    """All processes of a container get SIGKILL, from inside: what `docker kill` ends, Docker does not start again."""
    (container,) = deployment.containers(service)

    subprocess.run(["docker", "exec", container["Id"], "sh", "-c", "kill -9 -1"], capture_output=True, check=False)

    deployment.wait_for_restart(container, container["RestartCount"])
    deployment.smoke()


def test_a_second_driver_takes_over_from_the_first(deployment) -> None:
    try:
        deployment.up("--scale", "driver=2", "--no-recreate")
        first, second = deployment.containers("driver")
        assert {each["State"]["Health"]["Status"] for each in (first, second)} == {"healthy"}
        deployment.smoke()

        for gone, other in ((first, second), (second, first)):
            deployment.docker("kill", "-s", "KILL", gone["Id"])
            deployment.smoke()
            deployment.docker("start", gone["Id"])
            deployment.wait_until_healthy(gone)
            assert deployment.state(other)["Running"]
    finally:
        deployment.up("--scale", "driver=1", "--no-recreate")


def test_everything_killed_at_once_comes_back_with_its_data(deployment) -> None:
    deployment.smoke()
    items = deployment.items()
    deployment.docker("kill", "-s", "KILL", *(each["Id"] for each in deployment.running()))

    deployment.up()

    assert deployment.items() == items
    deployment.smoke()


def test_down_keeps_the_data(deployment) -> None:
    deployment.smoke()
    items = deployment.items()
    assert items

    deployment.compose("down")
    deployment.up()

    assert deployment.items() == items
    deployment.smoke()
