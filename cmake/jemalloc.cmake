# SPDX-License-Identifier: BSD-3-Clause
#
# vmc_jemalloc: the private copy of jemalloc (utils/build-jemalloc), built
# when the tree is configured. -DVMC_JEMALLOC_DEBUG=ON takes the copy that
# checks itself, -DVMC_JEMALLOC_CACHE=<dir> keeps copies elsewhere than in the
# user's cache directory.
option(VMC_JEMALLOC_DEBUG "Private jemalloc with its own assertions" OFF)
set(VMC_JEMALLOC_CACHE "" CACHE PATH "Where copies of jemalloc are kept")

set(arguments)
if(VMC_JEMALLOC_DEBUG)
	list(APPEND arguments --debug)
endif()
if(VMC_JEMALLOC_CACHE)
	list(APPEND arguments --cache ${VMC_JEMALLOC_CACHE})
elseif(NOT DEFINED ENV{HOME} AND NOT DEFINED ENV{XDG_CACHE_HOME})
	list(APPEND arguments --cache ${CMAKE_BINARY_DIR}/jemalloc)
endif()
message(STATUS "Private jemalloc")
execute_process(
	COMMAND ${CMAKE_SOURCE_DIR}/utils/build-jemalloc ${arguments}
	OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE
	ERROR_VARIABLE messages RESULT_VARIABLE result)
if(NOT result EQUAL 0)
	message(FATAL_ERROR "No private jemalloc:\n${messages}")
endif()
message(STATUS "Private jemalloc - ${directory}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
	${CMAKE_SOURCE_DIR}/utils/build-jemalloc
	${CMAKE_SOURCE_DIR}/utils/jemalloc.patch)

add_library(vmc_jemalloc STATIC IMPORTED GLOBAL)
set_target_properties(vmc_jemalloc PROPERTIES
	IMPORTED_LOCATION ${directory}/libvmc_jemalloc.a
	INTERFACE_INCLUDE_DIRECTORIES ${directory}
	INTERFACE_LINK_LIBRARIES m) # the archive of libjemalloc-dev profiles
file(READ ${directory}/origin VMC_JEMALLOC_ORIGIN)
string(STRIP "${VMC_JEMALLOC_ORIGIN}" VMC_JEMALLOC_ORIGIN)
