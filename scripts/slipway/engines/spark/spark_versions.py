"""Which Spark, Java, Scala and Iceberg belong together, and one line for each way in which they do not.

Source: Apache Iceberg, "Multi-Engine Support"; Apache Spark 4.1, "Downloading" (Java 17 or 21). Nothing but these versions is tested.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slipway.errors import ConfigError, first_line

SPARK = "4.1"
SCALA = "2.13"
ICEBERG = "1.12.0"
JAVA = (17, 21)
RUNTIME = f"org.apache.iceberg:iceberg-spark-runtime-{SPARK}_{SCALA}:{ICEBERG}"
"""Maven coordinate of the jar by which Spark reads and writes Iceberg."""
S3_BUNDLE = f"org.apache.iceberg:iceberg-aws-bundle:{ICEBERG}"
"""Maven coordinate of the jar by which it reaches a store that speaks S3; no result depends on it."""

CANNOT_COMPUTE = "Spark cannot be started"
_JAVA_VERSION = re.compile(r'version "(\d+)(?:\.(\d+))?')
_ANSWERS_WITHIN = 60


@dataclass(frozen=True)
class Installed:
    """What is installed on this machine.

    Args:
        spark: version of pyspark.
        java: the program.
        java_version: its major version.
    """

    spark: str
    java: Path
    java_version: int


def installed() -> Installed:
    """The versions of pyspark and Java, if both can be used.

    Raises:
        ConfigError: one is missing, or has another version.
    """
    spark, java = package_version(), _java()
    return Installed(spark, java, _java_version(java))


def package_version() -> str:
    """The version of pyspark, if it can be used.

    Raises:
        ConfigError: it is missing, or has another version.
    """
    try:
        spark = version("pyspark")
    except PackageNotFoundError:
        raise ConfigError(
            CANNOT_COMPUTE,
            "the package pyspark is not installed",
            "Install Slipway with its extra: pip install 'dbt-slipway[spark]'",
        ) from None
    check_spark(spark)
    return spark


def computing() -> list[str]:
    """What decides about a result of Spark: the package that is installed, and the jar that is used with it."""
    try:
        return [f"pyspark {version('pyspark')}", RUNTIME]
    except PackageNotFoundError:
        return ["no pyspark", RUNTIME]


def fetching(package: str) -> str:
    """The command that puts a jar into the local Maven repository."""
    return f"mvn dependency:get -Dartifact={package}"


def jars(*, on_s3: bool) -> tuple[str, ...]:
    """Maven coordinates of what a session needs.

    Args:
        on_s3: whether a table that it reads or writes is on S3.
    """
    return (RUNTIME, S3_BUNDLE) if on_s3 else (RUNTIME,)


def check_same(server: str) -> None:
    """Refuse a server of another version than the package, which is what node keys have.

    Args:
        server: its version, perhaps with what a vendor adds to it, as in ``4.1.4-amzn-0``.

    Raises:
        ConfigError: it is another one.
    """
    package = package_version()
    if server.partition("-")[0] != package:
        raise ConfigError(
            "The Spark Connect server cannot be used",
            f"it is Spark {server}, and the package pyspark is {package}",
            f"Use a server of Spark {package}, because tables are built anew when the version of their engine changes",
        )


def check_spark(found: str) -> None:
    """Refuse another version of Spark; raises ConfigError."""
    if not found.startswith(f"{SPARK}."):
        raise ConfigError(
            CANNOT_COMPUTE,
            f"it is version {found}, and Iceberg {ICEBERG} is tested with {SPARK}",
            f"Install pyspark {SPARK}, which the extra dbt-slipway[spark] names",
        )


def _java() -> Path:
    """The Java that pyspark would start: that of JAVA_HOME, else the one on the path."""
    if home := os.environ.get("JAVA_HOME"):
        program = Path(home) / "bin" / "java"
        if os.access(program, os.X_OK):
            return program
        raise ConfigError(
            CANNOT_COMPUTE,
            f"JAVA_HOME is {home}, and has no bin/java",
            f"Set it to a Java {JAVA[0]}, or unset it",
        )
    if found := shutil.which("java"):
        return Path(found)
    raise ConfigError(
        CANNOT_COMPUTE,
        "Java is not installed",
        f"Install Java {JAVA[0]} (Debian and Ubuntu: apt-get install openjdk-{JAVA[0]}-jre-headless), or set JAVA_HOME",
    )


def _java_version(java: Path) -> int:
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=True, timeout=_ANSWERS_WITHIN
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            CANNOT_COMPUTE, f"{java} does not start: {first_line(error)}", f"Install Java {JAVA[0]}"
        ) from None
    found = _JAVA_VERSION.search(done.stderr + done.stdout)
    major = int(found[2] if found[1] == "1" and found[2] else found[1]) if found else 0
    if major not in JAVA:
        raise ConfigError(
            CANNOT_COMPUTE,
            f"{java} is Java {major or 'of an unknown version'}, and Spark {SPARK} needs {' or '.join(map(str, JAVA))}",
            "Set JAVA_HOME to one of these",
        )
    return major
