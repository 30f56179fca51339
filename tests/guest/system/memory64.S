/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PVH entry to long mode with the first 1.5 TiB mapped one to one by pages of 1 GiB; then memory_main(start info). */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_start

	.section .text.boot, "ax"
	.code32
	.globl pvh_start
pvh_start:
	cld
	movl $stack_top, %esp
	movl %ebx, %edi
	/* 3 tables of 512 entries: entry n is n GiB */
	xorl %ecx, %ecx
1:	movl %ecx, %eax
	shll $30, %eax
	orl $0x83, %eax			/* present, writable, large */
	movl %eax, pdpt(,%ecx,8)
	movl %ecx, %eax
	shrl $2, %eax
	movl %eax, pdpt + 4(,%ecx,8)
	incl %ecx
	cmpl $1536, %ecx
	jne 1b
	movl $pdpt + 3, pml4
	movl $pdpt + 0x1003, pml4 + 8
	movl $pdpt + 0x2003, pml4 + 16
	movl $0x20, %eax		/* PAE */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	movl $0x100, %eax		/* LME */
	xorl %edx, %edx
	wrmsr
	movl $0x80000031, %eax		/* PG NE ET PE */
	movl %eax, %cr0
	lgdt gdtr
	ljmp $8, $start64

	.code64
start64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %edi, %edi			/* the upper half of the argument */
	call memory_main
1:	hlt
	jmp 1b

	.section .data
	.balign 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word . - gdt - 1
	.long gdt

	.section .bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 3 * 4096
stack:	.skip 8192
stack_top:
