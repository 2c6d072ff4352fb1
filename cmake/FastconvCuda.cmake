# Decides about the CUDA module and leaves the decision in fastconv_cuda_report,
# fastconv_cuda_archs and fastconv_cuda_found.
set(fastconv_cuda_found OFF)
if(FASTCONV_CUDA STREQUAL "OFF")
  set(fastconv_cuda_report "no (FASTCONV_CUDA=OFF)")
  return()
endif()

# pip install nvidia-cuda-nvcc nvidia-cuda-runtime: into nvidia/cu13, and what comes after it. pip
# builds with the environment's own interpreter, so this finds it in an isolated build too.
execute_process(COMMAND "${Python_EXECUTABLE}" -c
                        "import sysconfig; print(sysconfig.get_path('purelib'))"
                OUTPUT_VARIABLE site_packages OUTPUT_STRIP_TRAILING_WHITESPACE)
file(GLOB wheels LIST_DIRECTORIES ON "${site_packages}/nvidia/cu[0-9]*/bin")

get_filename_component(cudacxx_folder "$ENV{CUDACXX}" DIRECTORY)
find_program(FASTCONV_NVCC nvcc HINTS "${cudacxx_folder}" "$ENV{CUDA_HOME}/bin" ENV PATH
             NO_DEFAULT_PATH)
find_program(FASTCONV_NVCC nvcc PATHS ${wheels} /usr/local/cuda/bin NO_DEFAULT_PATH)
if(FASTCONV_CUDA STREQUAL "ON")
  if(NOT FASTCONV_NVCC)
    message(FATAL_ERROR "fastconv: FASTCONV_CUDA=ON, but there is no nvcc on the PATH, in CUDA_HOME "
                        "or among the packages of this environment. Install the CUDA toolkit, or "
                        "pip install nvidia-cuda-nvcc nvidia-cuda-runtime "
                        "nvidia-cuda-cccl, or leave FASTCONV_CUDA at AUTO.")
  endif()
endif()

# FASTCONV_CUDA_ARCHS: a list of CMake architectures, "release", or empty for this machine's GPUs
set(release_archs 75-real 80-real 86-real 89-real 90-real 100-real 120-real 120-virtual)
set(fastconv_cuda_archs ${FASTCONV_CUDA_ARCHS})
if(FASTCONV_CUDA_ARCHS STREQUAL "release")
  set(fastconv_cuda_archs ${release_archs})
elseif(NOT FASTCONV_CUDA_ARCHS)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE capabilities RESULT_VARIABLE status ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" capabilities "${capabilities}")
  if(status EQUAL 0 AND capabilities)
    list(TRANSFORM capabilities REPLACE "\\." "")
    list(TRANSFORM capabilities APPEND "-real")
    list(REMOVE_DUPLICATES capabilities)
    set(fastconv_cuda_archs ${capabilities})
  else()
    # without a GPU the portable instructions are enough: the driver of another machine compiles them
    set(fastconv_cuda_archs 80-virtual)
  endif()
endif()

if(NOT FASTCONV_NVCC)
  set(fastconv_cuda_report "no (no nvcc found)")
  return()
endif()

list(JOIN fastconv_cuda_archs " " archs)
set(fastconv_cuda_report "yes (${FASTCONV_NVCC}, for ${archs})")
set(CMAKE_CUDA_COMPILER "${FASTCONV_NVCC}")
# for CMake's trial compilation only: every target names its own
set(CMAKE_CUDA_ARCHITECTURES ${fastconv_cuda_archs})
enable_language(CUDA)
# the packages of PyPI have no libcudart.so, which CMake asks for although the static one is linked
get_filename_component(nvcc_folder "${FASTCONV_NVCC}" DIRECTORY)
find_library(CUDA_CUDART NAMES libcudart.so.13 libcudart.so.12 PATHS "${nvcc_folder}/../lib"
             NO_DEFAULT_PATH)
find_package(CUDAToolkit REQUIRED)
set(fastconv_cuda_found ON)
