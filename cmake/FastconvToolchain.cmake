# Compiler, Python headers and pybind11; each missing one is an error that names the fix.
include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
  message(FATAL_ERROR
    "fastconv: no C++ compiler found. Install one or set CXX: apt install g++ (Debian, Ubuntu), "
    "dnf install gcc-c++ (Fedora), xcode-select --install (macOS).\n"
    " Or compile nothing: FASTCONV_NATIVE=OFF")
endif()
enable_language(CXX)

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  message(FATAL_ERROR
    "fastconv: ${CMAKE_CXX_COMPILER_ID} is not supported: the kernels use GCC/Clang vector "
    "extensions. On Windows use WSL2, or FASTCONV_NATIVE=OFF.")
endif()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug, RelWithDebInfo" FORCE)
endif()

find_package(Python 3.11 QUIET COMPONENTS Interpreter Development.Module)
if(NOT Python_Development.Module_FOUND)
  message(FATAL_ERROR
    "fastconv: no Python.h for ${Python_EXECUTABLE}. Install Python's headers (Debian/Ubuntu: apt "
    "install python3-dev; Fedora: dnf install python3-devel).\n"
    " Or compile nothing: FASTCONV_NATIVE=OFF")
endif()

# pip brings pybind11 and says where it is; a plain cmake call asks the interpreter
if(NOT pybind11_DIR)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
                  OUTPUT_VARIABLE pybind11_hint OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_package(pybind11 CONFIG QUIET HINTS "${pybind11_hint}")
if(NOT pybind11_FOUND)
  message(FATAL_ERROR "fastconv: pybind11 not found. ${Python_EXECUTABLE} -m pip install pybind11")
endif()

if(FASTCONV_SANITIZE)
  add_compile_options(-fsanitize=${FASTCONV_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${FASTCONV_SANITIZE})
endif()
