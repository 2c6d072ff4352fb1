# The options of the build. A value given with -D wins over the environment.
function(fastconv_option name default doc)
  if(DEFINED ENV{${name}} AND NOT "$ENV{${name}}" STREQUAL "")
    set(default "$ENV{${name}}")
  endif()
  set(${name} "${default}" CACHE STRING "${doc}")
endfunction()

fastconv_option(FASTCONV_NATIVE ON "ON, or OFF to compile nothing")
fastconv_option(FASTCONV_CUDA AUTO "AUTO, ON or OFF")
fastconv_option(FASTCONV_CUDA_ARCHS "" "CUDA architectures; empty: those of this machine's GPUs")
fastconv_option(FASTCONV_SANITIZE "" "address, undefined, address,undefined or thread")

string(TOUPPER "${FASTCONV_CUDA}" FASTCONV_CUDA)
if(NOT FASTCONV_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FASTCONV_CUDA is '${FASTCONV_CUDA}'; it must be AUTO, ON or OFF")
endif()
if(NOT FASTCONV_SANITIZE MATCHES "^(address|undefined|address,undefined|thread)?$")
  message(FATAL_ERROR "FASTCONV_SANITIZE is '${FASTCONV_SANITIZE}'; it must be address, undefined, "
                      "address,undefined or thread")
endif()

# pip install -e . builds in place: python from the repository root then finds the module
set(inplace_default OFF)
if("${SKBUILD_STATE}" STREQUAL "editable")
  set(inplace_default ON)
endif()
option(FASTCONV_INPLACE "Put the built modules into fastconv/ of the source tree"
       ${inplace_default})
fastconv_option(FASTCONV_EMULATOR ${inplace_default} "ON: build the emulator of the CUDA kernels")
option(FASTCONV_COVERAGE "Count the lines of kernels that the emulator runs" OFF)
