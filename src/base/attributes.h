/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attributes.h -- what the compiler is told of variables and functions
 */
#ifndef VMC_BASE_ATTRIBUTES_H
#define VMC_BASE_ATTRIBUTES_H

/*
 * Of a variable that every call looks at: declared so, it is addressed without
 * the detour over a table of addresses that a variable of a library may need.
 */
#define VMC_HIDDEN __attribute__((visibility("hidden")))

/*
 * For calls that have no array on their stack; a canary is 7 of the 250
 * instructions of a get. Not all compilers know how to do without.
 */
#if __has_attribute(no_stack_protector)
#define VMC_NO_CANARY __attribute__((no_stack_protector))
#else
#define VMC_NO_CANARY
#endif

#endif
