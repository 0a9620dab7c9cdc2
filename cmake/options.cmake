# Compiler options every target of this project is built with.
find_package(Threads REQUIRED)

add_library(retort_options INTERFACE)
target_compile_features(retort_options INTERFACE cxx_std_20)
target_compile_options(retort_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-unused-parameter)
target_compile_definitions(retort_options INTERFACE RETORT_VERSION="${PROJECT_VERSION}")
target_link_libraries(retort_options INTERFACE Threads::Threads)

if(RETORT_SANITIZE)
  target_compile_options(retort_options INTERFACE -fsanitize=${RETORT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(retort_options INTERFACE -fsanitize=${RETORT_SANITIZE})
endif()
if(RETORT_FUZZ)
  # Every object is instrumented for coverage; only the fuzz targets link libFuzzer's main.
  target_compile_options(retort_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(retort_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
