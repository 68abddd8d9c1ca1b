# SPDX-License-Identifier: BSD-3-Clause
#
# memkind.cmake -- libmemkind as it is installed, a drop-in for memkind 1.14
#
# The engine is the one that libvmemcache contains; what is added are the
# public heap calls with a program's decorators, hbwmalloc, and old names.
# Symbols are unversioned, as in the library it replaces.

set(MEMKIND_MAP ${PROJECT_SOURCE_DIR}/src/libmemkind.map)

# What is in libmemkind alone.
add_library(memkind_calls OBJECT
	memkind/compat.c
	memkind/decorators.c
	memkind/hbwmalloc.c)
target_link_libraries(memkind_calls PUBLIC memkind_objects)

if(VMC_SHARED)
	add_library(memkind SHARED)
	# vmc_internal: the base layer's objects, as far as they are referred to
	target_link_libraries(memkind PRIVATE
		memkind_calls memtier_objects memkind_objects vmc_internal)
	vmc_shared_library(memkind ${MEMKIND_MAP} 0.0.1)
else()
	vmc_only_static(memkind)
endif()
add_library(memkind::memkind ALIAS memkind)

set(MEMKIND_STATIC_LIBS numa pthread m)
vmc_static_library(memkind_static memkind ${MEMKIND_MAP}
	"${MEMKIND_STATIC_LIBS}"
	"memkind_calls;memtier_objects;memkind_objects;vmc_internal"
	$<TARGET_OBJECTS:memkind_calls> $<TARGET_OBJECTS:memtier_objects>
	$<TARGET_OBJECTS:memkind_objects> $<TARGET_FILE:vmc_internal>
	$<TARGET_FILE:vmc_jemalloc>)
add_library(memkind::memkind_static ALIAS memkind_static)

set(MEMKIND_HEADERS fixed_allocator.h hbw_allocator.h hbwmalloc.h memkind.h
	memkind.hpp memkind_allocator.h memkind_deprecated.h memkind_kind_allocator.h
	memkind_memtier.h pmem_allocator.h)
list(TRANSFORM MEMKIND_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/include/)
if(VMC_INSTALL)
	vmc_install(memkind memkind memkind-dev 1.14.0)
	install(FILES ${MEMKIND_HEADERS}
		DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT memkind-dev)
endif()

list(TRANSFORM MEMKIND_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE
	MEMKIND_PC_PRIVATE)
list(JOIN MEMKIND_PC_PRIVATE " " MEMKIND_PC_PRIVATE)
vmc_pkg_config(memkind memkind-dev)

# libmemtier: preloaded, or linked into it, it makes a program's malloc() one of
# libmemkind's. Not below a sanitizer, which has a malloc() of its own.
if(NOT VMC_SANITIZE)
	set(MEMTIER_MAP ${PROJECT_SOURCE_DIR}/src/libmemtier.map)
	add_library(memtier_calls OBJECT memtier/preload.c)
	target_compile_options(memtier_calls PRIVATE -fno-builtin -fno-plt)
	target_link_libraries(memtier_calls PUBLIC memtier_variables)
	vmc_static_library(memtier_static memtier ${MEMTIER_MAP} memkind_static
		"memtier_calls;memtier_variables"
		$<TARGET_OBJECTS:memtier_calls>
		$<TARGET_OBJECTS:memtier_variables>)
	if(VMC_INSTALL)
		install(TARGETS memtier_static
			ARCHIVE COMPONENT memkind-dev)
	endif()
endif()
if(VMC_SHARED AND NOT VMC_SANITIZE)
	add_library(memtier SHARED)
	target_link_libraries(memtier PRIVATE memtier_calls memtier_variables
		memkind Threads::Threads ${CMAKE_DL_LIBS})
	vmc_shared_library(memtier ${MEMTIER_MAP} 0.0.0)
	set_target_properties(memtier PROPERTIES INSTALL_RPATH "$ORIGIN")
	file(RELATIVE_PATH MEMTIER_LIBRARIES /${CMAKE_INSTALL_BINDIR}
		/${CMAKE_INSTALL_LIBDIR})
	configure_file(memtier/memtier.in
		${CMAKE_CURRENT_BINARY_DIR}/memtier @ONLY
		FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
			GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
	if(VMC_INSTALL)
		install(TARGETS memtier
			LIBRARY COMPONENT memkind NAMELINK_COMPONENT memkind-dev)
		install(PROGRAMS ${CMAKE_CURRENT_BINARY_DIR}/memtier
			DESTINATION ${CMAKE_INSTALL_BINDIR}
			COMPONENT memkind-tools)
	endif()
endif()

# memkind_tool(<program> <call that answers> <what the nodes have>
#	<exit status if there are none>)
function(memkind_tool program call name none)
	add_executable(${program} memkind/nodes_tool.c)
	target_link_libraries(${program} PRIVATE memkind)
	target_compile_definitions(${program} PRIVATE
		NODES_CALL=${call} NODES_NAME="${name}" NODES_NONE=${none})
	set_target_properties(${program} PROPERTIES
		INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
	if(VMC_INSTALL)
		install(TARGETS ${program}
			RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
			COMPONENT memkind-tools)
	endif()
endfunction()
if(NOT VMC_INSTALL AND NOT VMC_TESTS)
	return()
endif()
memkind_tool(memkind-hbw-nodes
	memkind_hbw_all_get_mbind_nodemask "high-bandwidth" 1)
memkind_tool(memkind-auto-dax-kmem-nodes
	memkind_dax_kmem_all_get_mbind_nodemask "DAX KMEM" 3)
