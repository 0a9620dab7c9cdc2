# Files in kernels/<instruction set>/ are compiled for that instruction set, the
# rest for the baseline. They include only kernels/ headers and intrinsics: an
# inline function of the standard library compiled here could be the copy the
# linker keeps for everybody, and crash on a machine without the instructions.
function(retort_instruction_set folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/${folder}/*.cpp)
  if(sources)
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${ARGN}")
  endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  retort_instruction_set(avx2 -mavx2 -mfma -mf16c)
  retort_instruction_set(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512vbmi -mfma -mf16c -mprefer-vector-width=512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  retort_instruction_set(neon -march=armv8.2-a+dotprod+fp16)
endif()
# std::fma and a plain a * b + c must not be mixed by the compiler: results are
# compared bit for bit between instruction sets.
if(TARGET retort_kernels AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/packed_matrix.cpp)
  target_compile_options(retort_kernels PRIVATE -ffp-contract=off)
endif()
