set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
# Header-only dependencies come from the host's packages; GoogleTest is built from its Debian source.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
