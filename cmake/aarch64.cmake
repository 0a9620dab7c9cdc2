# Cross-building for aarch64 on a Debian machine of another architecture: third-party code is header-only (the compiler sees
# /usr/include), its CMake files are the host's, GoogleTest is built from its Debian source, and tests run under qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(package fmt spdlog)
  set(${package}_DIR /usr/lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake/${package})
endforeach()
