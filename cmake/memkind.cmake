# SPDX-License-Identifier: BSD-3-Clause
#
# memkind.cmake -- libmemkind as it is installed, a drop-in for memkind 1.14
#
# The engine is the one that libvmemcache contains; what is added are the
# public heap calls with a program's decorators, hbwmalloc, and old names.
# Symbols are unversioned, as in the library it replaces. It is never
# unmapped: threads that used it return their caches when they end.

set(MEMKIND_MAP ${PROJECT_SOURCE_DIR}/src/libmemkind.map)

add_library(memkind SHARED
	memkind/compat.c
	memkind/decorators.c
	memkind/hbwmalloc.c)
add_library(vmemcache::memkind ALIAS memkind)
# vmc_internal: the base layer's objects, as far as they are referred to
target_link_libraries(memkind PRIVATE memkind_objects vmc_internal)
target_link_options(memkind PRIVATE
	LINKER:--version-script=${MEMKIND_MAP} LINKER:--as-needed
	LINKER:-z,relro LINKER:-z,now LINKER:-z,nodelete)
if(NOT VMC_SANITIZE) # whose symbols are in the program
	target_link_options(memkind PRIVATE LINKER:-z,defs)
endif()
set_target_properties(memkind PROPERTIES
	VERSION 0.0.1
	SOVERSION 0
	LINK_DEPENDS ${MEMKIND_MAP})

set(MEMKIND_HEADERS fixed_allocator.h hbw_allocator.h hbwmalloc.h memkind.h
	memkind_allocator.h memkind_deprecated.h memkind_kind_allocator.h
	pmem_allocator.h)
list(TRANSFORM MEMKIND_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/include/)
target_include_directories(memkind INTERFACE
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
install(TARGETS memkind EXPORT vmemcache
	INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${MEMKIND_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

file(RELATIVE_PATH VMC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/memkind.pc.in memkind.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/memkind.pc
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# memkind_tool(<program> <call that answers> <what the nodes have>)
function(memkind_tool program call name)
	add_executable(${program} memkind/nodes_tool.c)
	target_link_libraries(${program} PRIVATE memkind)
	target_compile_definitions(${program} PRIVATE
		NODES_CALL=${call} NODES_NAME="${name}")
	set_target_properties(${program} PROPERTIES
		INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
	install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
memkind_tool(memkind-hbw-nodes
	memkind_hbw_all_get_mbind_nodemask "high-bandwidth")
memkind_tool(memkind-auto-dax-kmem-nodes
	memkind_dax_kmem_all_get_mbind_nodemask "DAX KMEM")
