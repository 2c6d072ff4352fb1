# Decides about the CUDA module and leaves the decision in fastconv_cuda_report.
if(FASTCONV_CUDA STREQUAL "OFF")
  set(fastconv_cuda_report "no (FASTCONV_CUDA=OFF)")
  return()
endif()

find_program(FASTCONV_NVCC nvcc HINTS "$ENV{CUDACXX}" "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
file(GLOB cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/cuda/*.cu"
     "${PROJECT_SOURCE_DIR}/csrc/cuda/*/*.cu")

if(FASTCONV_CUDA STREQUAL "ON")
  if(NOT cuda_sources)
    message(FATAL_ERROR "fastconv: FASTCONV_CUDA=ON, but this version has no CUDA sources yet. "
                        "Leave FASTCONV_CUDA at AUTO or OFF.")
  endif()
  if(NOT FASTCONV_NVCC)
    message(FATAL_ERROR "fastconv: FASTCONV_CUDA=ON, but there is no nvcc on the PATH or in "
                        "CUDA_HOME. Install the CUDA toolkit, or leave FASTCONV_CUDA at AUTO.")
  endif()
endif()

if(NOT FASTCONV_NVCC)
  set(fastconv_cuda_report "no (no nvcc found)")
elseif(NOT cuda_sources)
  set(fastconv_cuda_report "no (nvcc found: ${FASTCONV_NVCC}, but no CUDA sources yet)")
endif()
