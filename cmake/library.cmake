# SPDX-License-Identifier: BSD-3-Clause
#
# library.cmake -- libvmemcache as it is installed: shared, static, and what
# pkg-config and find_package() need to find it
#
# The version map decides what is public, in both libraries. The static one
# is a single object file in which everything else has been made local, so
# that neither our internal names nor the private jemalloc can collide with
# anything in the program it is linked into.

set(VMC_MAP ${PROJECT_SOURCE_DIR}/src/libvmemcache.map)
# What a program linked statically needs beside it.
set(VMC_STATIC_LIBS pmem numa pthread m)

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

# vmc_pkg_config(<name>): cmake/<name>.pc.in, whose prefix is relative to the
# .pc file, so that `cmake --install --prefix` works
function(vmc_pkg_config name)
	if(NOT VMC_INSTALL)
		return()
	endif()
	file(RELATIVE_PATH VMC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${name}.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# Shared -------------------------------------------------------------------
add_library(vmemcache SHARED)
add_library(vmemcache::vmemcache ALIAS vmemcache)
target_link_libraries(vmemcache PRIVATE vmc_objects memkind_objects)
vmc_shared_library(vmemcache ${VMC_MAP}
	0.${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# Static -------------------------------------------------------------------
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${VMC_MAP})
file(STRINGS ${VMC_MAP} public_names REGEX "^[ \t]+vmemcache_[a-z_0-9]+;$")
list(TRANSFORM public_names REPLACE "[ \t;]" "")
list(JOIN public_names "\n" public_names)
file(CONFIGURE OUTPUT public-names CONTENT "${public_names}\n")

set(static_object ${CMAKE_CURRENT_BINARY_DIR}/vmemcache-static.o)
set(static_inputs $<TARGET_OBJECTS:vmc_objects>
	$<TARGET_OBJECTS:memkind_objects> $<TARGET_FILE:vmc_jemalloc>)
add_custom_command(OUTPUT ${static_object}
	COMMAND ${CMAKE_LINKER} -r -o ${static_object}.all ${static_inputs}
	COMMAND ${CMAKE_OBJCOPY}
		--keep-global-symbols=${CMAKE_CURRENT_BINARY_DIR}/public-names
		${static_object}.all ${static_object}
	# files for when it is outdated, targets for the order: make does not
	# know how to build another target's objects
	DEPENDS ${static_inputs} ${CMAKE_CURRENT_BINARY_DIR}/public-names
		vmc_objects memkind_objects
	COMMAND_EXPAND_LISTS VERBATIM
	COMMENT "Making everything but the interface local")
add_library(vmemcache_static STATIC ${static_object})
add_library(vmemcache::vmemcache_static ALIAS vmemcache_static)
target_link_libraries(vmemcache_static INTERFACE ${VMC_STATIC_LIBS})
set_target_properties(vmemcache_static PROPERTIES
	OUTPUT_NAME vmemcache
	LINKER_LANGUAGE C)

# Installation -------------------------------------------------------------
target_include_directories(vmemcache_static INTERFACE
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
if(NOT VMC_INSTALL)
	return()
endif()
install(TARGETS vmemcache vmemcache_static EXPORT vmemcache
	INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/libvmemcache.h
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vmemcache)
install(EXPORT vmemcache FILE vmemcacheConfig.cmake
	NAMESPACE vmemcache:: DESTINATION ${package_dir})
write_basic_package_version_file(vmemcacheConfigVersion.cmake
	COMPATIBILITY AnyNewerVersion) # 0.8's calls are all there
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vmemcacheConfigVersion.cmake
	DESTINATION ${package_dir})

list(TRANSFORM VMC_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE VMC_PC_PRIVATE)
list(JOIN VMC_PC_PRIVATE " " VMC_PC_PRIVATE)
vmc_pkg_config(libvmemcache)
