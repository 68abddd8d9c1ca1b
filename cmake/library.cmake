# SPDX-License-Identifier: BSD-3-Clause
#
# library.cmake -- libvmemcache as it is installed: shared, static, and what
# pkg-config and find_package() need to find it
#
# BUILD_SHARED_LIBS=OFF makes the static libraries alone, and vmemcache::vmemcache
# stands for the static one; otherwise both are made.
#
# What is installed has seven components: "cache" and "memkind" are the shared
# libraries, "dev" and "memkind-dev" what is needed to build programs with
# them, "tools", "server" and "memkind-tools" the programs. The first of each pair needs
# nothing of the second.
#
# The version map decides what is public, in both libraries. The static one
# is a single object file in which everything else has been made local, so
# that neither our internal names nor the private jemalloc can collide with
# anything in the program it is linked into.

set(VMC_MAP ${PROJECT_SOURCE_DIR}/src/libvmemcache.map)
# What a program linked statically needs beside it.
set(VMC_STATIC_LIBS numa pthread m)
if(VMC_PMEM)
	list(PREPEND VMC_STATIC_LIBS pmem)
endif()

# vmc_shared_library(<target> <version map> <version>): what our libraries
# have in common. nodelete: threads that have used the allocator call its
# destructors when they end, which may be after a dlclose().
function(vmc_shared_library target map version)
	target_link_options(${target} PRIVATE
		LINKER:--version-script=${map} LINKER:--as-needed
		LINKER:-z,nodelete)
	if(NOT VMC_SANITIZE) # whose symbols are in the program
		target_link_options(${target} PRIVATE LINKER:-z,defs)
	endif()
	set_target_properties(${target} PROPERTIES
		VERSION ${version}
		SOVERSION 0
		LINK_DEPENDS ${map})
	target_include_directories(${target} INTERFACE
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
endfunction()

# vmc_pkg_config(<name> <component>): cmake/<name>.pc.in, whose prefix is relative to the
# .pc file, so that `cmake --install --prefix` works
function(vmc_pkg_config name component)
	if(NOT VMC_INSTALL)
		return()
	endif()
	file(RELATIVE_PATH VMC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${name}.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
		COMPONENT ${component})
endfunction()

# vmc_static_library(<target> <name> <version map> <needed> <targets>
# <inputs>...): the public names of the map, everything else local; needed:
# libraries that a program linked with it needs beside it. Inputs are files, for
# when it is outdated; targets make them, for the order: make does not know how
# to build another target's objects.
function(vmc_static_library target name map needed targets)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${map})
	file(STRINGS ${map} public_names REGEX "^[ \t]+[A-Za-z_0-9]+;$")
	list(TRANSFORM public_names REPLACE "[ \t;]" "")
	list(JOIN public_names "\n" public_names)
	set(names ${CMAKE_CURRENT_BINARY_DIR}/${name}-public-names)
	file(CONFIGURE OUTPUT ${names} CONTENT "${public_names}\n")
	set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}-static.o)
	add_custom_command(OUTPUT ${object}
		COMMAND ${CMAKE_LINKER} -r -o ${object}.all ${ARGN}
		COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${names}
			${object}.all ${object}
		DEPENDS ${ARGN} ${names} ${targets}
		COMMAND_EXPAND_LISTS VERBATIM
		COMMENT "Making everything but the interface local")
	add_library(${target} STATIC ${object})
	target_link_libraries(${target} INTERFACE ${needed})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name}
		LINKER_LANGUAGE C)
	target_include_directories(${target} INTERFACE
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
endfunction()

# vmc_only_static(<target>): what the shared library would be called, for
# programs that do not care
function(vmc_only_static target)
	add_library(${target} INTERFACE)
	target_link_libraries(${target} INTERFACE ${target}_static)
endfunction()

# vmc_install(<name> <component> <component of what builds programs>
# <version>): both libraries, and their targets for find_package()
include(CMakePackageConfigHelpers)
function(vmc_install name component dev version)
	install(TARGETS ${name} ${name}_static EXPORT ${name}
		LIBRARY COMPONENT ${component} NAMELINK_COMPONENT ${dev}
		ARCHIVE COMPONENT ${dev}
		INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
	set(directory ${CMAKE_INSTALL_LIBDIR}/cmake/${name})
	install(EXPORT ${name} FILE ${name}Config.cmake
		NAMESPACE ${name}:: DESTINATION ${directory}
		COMPONENT ${dev})
	write_basic_package_version_file(${name}ConfigVersion.cmake
		VERSION ${version} COMPATIBILITY AnyNewerVersion) # all older calls are there
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}ConfigVersion.cmake
		DESTINATION ${directory} COMPONENT ${dev})
endfunction()

# Shared -------------------------------------------------------------------
if(VMC_SHARED)
	add_library(vmemcache SHARED)
	target_link_libraries(vmemcache PRIVATE vmc_objects memkind_objects)
	vmc_shared_library(vmemcache ${VMC_MAP}
		0.${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
else()
	vmc_only_static(vmemcache)
endif()
add_library(vmemcache::vmemcache ALIAS vmemcache)

# Static -------------------------------------------------------------------
vmc_static_library(vmemcache_static vmemcache ${VMC_MAP} "${VMC_STATIC_LIBS}"
	"vmc_objects;memkind_objects"
	$<TARGET_OBJECTS:vmc_objects> $<TARGET_OBJECTS:memkind_objects>
	$<TARGET_FILE:vmc_jemalloc>)
add_library(vmemcache::vmemcache_static ALIAS vmemcache_static)

# Installation -------------------------------------------------------------
if(NOT VMC_INSTALL)
	return()
endif()
vmc_install(vmemcache cache dev ${PROJECT_VERSION})
install(FILES ${PROJECT_SOURCE_DIR}/include/libvmemcache.h
	${PROJECT_SOURCE_DIR}/include/vmemcache.hpp
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)

list(TRANSFORM VMC_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE VMC_PC_PRIVATE)
list(JOIN VMC_PC_PRIVATE " " VMC_PC_PRIVATE)
vmc_pkg_config(libvmemcache dev)
