"""Builds csrc/ with CMake into univar._native and maps examples/demo/ into the package.

univar/kernels is a link to kernels/.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Configure and build the one extension module; needs cmake and a C++17 compiler, no torch."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build = Path(self.build_temp).resolve()
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake",
            str(ROOT),
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DCMAKE_BUILD_TYPE={os.environ.get('UNIVAR_BUILD_TYPE', 'Release')}",
        ]
        subprocess.run(configure, cwd=build, check=True)
        jobs = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        subprocess.run(["cmake", "--build", ".", "--parallel", jobs], cwd=build, check=True)


setup(
    packages=[*find_packages(include=["univar", "univar.*"]), "univar.demo_data"],
    package_dir={"univar.demo_data": "examples/demo"},
    package_data={
        "univar": [
            "py.typed",
            "_native.pyi",
            "encoder/adapters/*/*",
            "heads/anchors.toml",
            "heads/probes/*",
            "map/page/*",
            "report/report.css",
            "serve/page/*",
        ],
        "univar.demo_data": ["*.jsonl"],
        "univar.questions": ["*.toml", "english/*.toml", "core/*.toml", "prompts/*.txt"],
        "univar.translate": ["prompts/*.txt"],
    },
    ext_modules=[Extension("univar._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
