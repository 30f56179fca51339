/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PVH entry (32-bit, paging off) to long mode; exception entries; the calls that catch what they raise. */
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
	/* identity map of 4 GiB by 2 MiB pages, supervisor; the first GiB again for users at 4 GiB; window at 5 GiB */
	movl $0x83, %eax
	xorl %ecx, %ecx
1:	movl %eax, pd(,%ecx,8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jne 1b
	movl $0x87, %eax
	xorl %ecx, %ecx
1:	movl %eax, pd_user(,%ecx,8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $512, %ecx
	jne 1b
	movl $pd + 0x3, pdpt
	movl $pd + 0x1003, pdpt + 8
	movl $pd + 0x2003, pdpt + 16
	movl $pd + 0x3003, pdpt + 24
	movl $pd_user + 7, pdpt + 32
	movl $pd_window + 7, pdpt + 40
	movl $pt_window + 7, pd_window
	movl $pdpt + 7, pml4
	movl $0x6a0, %eax		/* PAE PGE OSFXSR OSXMMEXCPT */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	movl $0x901, %eax		/* SCE LME NXE */
	xorl %edx, %edx
	wrmsr
	movl $0x80010033, %eax		/* PG WP NE ET MP PE */
	movl %eax, %cr0
	lgdt boot_gdtr
	ljmp $8, $start64

	.code64
start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $stack_top, %rsp
	call main
1:	hlt
	jmp 1b

	.data
	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word 23
	.quad boot_gdt

	.text
	/* ---- entries ---- */
	.globl vectors
	.balign 16
vectors:
	.set v, 0
	.rept 256
	.balign 16
	.if !((v == 8) || ((v >= 10) && (v <= 14)) || (v == 17) || (v == 21))
	push $-1
	.endif
	push $v
	jmp common
	.set v, v + 1
	.endr
common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	call exception
	movq %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	addq $16, %rsp
	.globl iret_insn
iret_insn:
	iretq

	/* ---- catching: catch_call(fn, arg) in ring 0, user_call(rip, arg, flags, cs, ss, rsp) outside ---- */
	.macro SAVE
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	movq %rsp, catch_rsp
	movb $1, catching
	.endm
	.globl catch_call
catch_call:
	SAVE
	movq %rdi, %rax
	movq %rsi, %rdi
	call *%rax
	.globl catch_escape
catch_escape:
	movb $0, catching
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movq catch_rsp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.globl user_call
user_call:
	SAVE
	push %r8
	push %r9
	push %rdx
	push %rcx
	push %rdi
	movq %rsi, %rdi
	iretq

	.bss
	.balign 4096
	.globl pml4, pdpt, pd, pd_user, pd_window, pt_window
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4096 * 4
pd_user: .skip 4096
pd_window: .skip 4096
pt_window: .skip 4096
	.skip 16384
stack_top:
	.globl catch_rsp, catching
	.balign 8
catch_rsp: .quad 0
catching: .byte 0
