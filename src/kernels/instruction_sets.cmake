# Files in kernels/<instruction set>/ are compiled for that instruction set and
# left out where the architecture is another; the rest is for the baseline. They
# include only kernels/ headers and intrinsics: an inline function of the
# standard library compiled here could be the copy the linker keeps for
# everybody, and crash on a machine without the instructions. A header that files
# of another set include too keeps all that it defines in an unnamed namespace.
function(retort_instruction_set folder processor)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/${folder}/*.cpp)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES ${processor})
    # Aligned, so that the speed of a loop does not depend on where the linker happens to put it.
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${ARGN};-falign-functions=64")
  else()
    set_source_files_properties(${sources} PROPERTIES HEADER_FILE_ONLY ON)
  endif()
endfunction()

retort_instruction_set(avx2 "x86_64|AMD64" -mavx2 -mfma -mf16c)
retort_instruction_set(avxvnni "x86_64|AMD64" -mavx2 -mfma -mf16c -mavxvnni)
set(RETORT_AVX512_FLAGS -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512)
retort_instruction_set(avx512 "x86_64|AMD64" ${RETORT_AVX512_FLAGS})
retort_instruction_set(avx512bf16 "x86_64|AMD64" ${RETORT_AVX512_FLAGS} -mavx512bf16)
retort_instruction_set(amx "x86_64|AMD64" ${RETORT_AVX512_FLAGS} -mamx-tile -mamx-int8)
retort_instruction_set(neon "aarch64|arm64" -march=armv8.2-a+dotprod+fp16)
retort_instruction_set(i8mm "aarch64|arm64" -march=armv8.2-a+dotprod+fp16+i8mm)

# A fused multiply-add happens where the source says fma and nowhere else:
# results are compared bit for bit between instruction sets.
target_compile_options(retort_kernels PRIVATE -ffp-contract=off)
