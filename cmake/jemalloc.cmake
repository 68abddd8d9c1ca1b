# SPDX-License-Identifier: BSD-3-Clause
#
# vmc_jemalloc: the private copy of jemalloc (utils/build-jemalloc), built
# when the tree is configured.
set(VMC_JEMALLOC_SOURCE "" CACHE PATH
	"jemalloc's release or its directory (empty: Debian's source package)")
option(VMC_JEMALLOC_ARCHIVE
	"libjemalloc-dev instead: what is built cannot be dlopen'ed" OFF)
option(VMC_JEMALLOC_DEBUG "Private jemalloc with its own assertions" OFF)
set(VMC_JEMALLOC_CACHE "" CACHE PATH
	"Where copies of jemalloc are kept (empty: the user's cache)")

set(arguments)
if(VMC_JEMALLOC_ARCHIVE AND (VMC_JEMALLOC_SOURCE OR VMC_JEMALLOC_DEBUG))
	message(FATAL_ERROR "VMC_JEMALLOC_ARCHIVE takes what was built by others: "
		"neither VMC_JEMALLOC_SOURCE nor VMC_JEMALLOC_DEBUG goes with it")
elseif(VMC_JEMALLOC_ARCHIVE)
	message(WARNING "With VMC_JEMALLOC_ARCHIVE the libraries cannot be "
		"dlopen'ed: programs must be linked with them")
	list(APPEND arguments --archive)
elseif(VMC_JEMALLOC_SOURCE)
	list(APPEND arguments --source ${VMC_JEMALLOC_SOURCE})
endif()
if(VMC_JEMALLOC_DEBUG)
	list(APPEND arguments --debug)
endif()
if(VMC_JEMALLOC_CACHE)
	list(APPEND arguments --cache ${VMC_JEMALLOC_CACHE})
elseif(NOT DEFINED ENV{HOME} AND NOT DEFINED ENV{XDG_CACHE_HOME})
	list(APPEND arguments --cache ${PROJECT_BINARY_DIR}/jemalloc)
endif()
message(STATUS "Private jemalloc")
execute_process(
	COMMAND ${PROJECT_SOURCE_DIR}/utils/build-jemalloc ${arguments}
	OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE
	ERROR_VARIABLE messages RESULT_VARIABLE result)
if(NOT result EQUAL 0)
	message(FATAL_ERROR "No private jemalloc:\n${messages}")
endif()
message(STATUS "Private jemalloc - ${directory}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
	${PROJECT_SOURCE_DIR}/utils/build-jemalloc
	${PROJECT_SOURCE_DIR}/utils/jemalloc.patch
	${PROJECT_SOURCE_DIR}/utils/jemalloc.sha256)

add_library(vmc_jemalloc STATIC IMPORTED GLOBAL)
set_target_properties(vmc_jemalloc PROPERTIES
	IMPORTED_LOCATION ${directory}/libvmc_jemalloc.a
	INTERFACE_INCLUDE_DIRECTORIES ${directory}
	INTERFACE_LINK_LIBRARIES m) # the archive of libjemalloc-dev profiles
file(READ ${directory}/origin VMC_JEMALLOC_ORIGIN)
string(STRIP "${VMC_JEMALLOC_ORIGIN}" VMC_JEMALLOC_ORIGIN)
