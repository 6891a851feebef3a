// SPDX-License-Identifier: Apache-2.0
// The PTX of kernels.cu as a NUL-terminated string in the program. The path is relative to the build's top folder.
    .section .rodata
    .global e2e_kernels_ptx
    .type e2e_kernels_ptx, @object
e2e_kernels_ptx:
    .incbin "tests/e2e/kernels.ptx"
    .byte 0
    .size e2e_kernels_ptx, . - e2e_kernels_ptx
    .section .note.GNU-stack, "", @progbits
