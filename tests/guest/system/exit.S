/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For timing the way to the first instruction: its first instructions write a byte to the serial port, the next ones
 * write 0 to the debug-exit port. */
	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.text
	.code32
	.globl	start
start:
	movw	$0x3f8, %dx
	movb	$'.', %al
	outb	%al, %dx
	movw	$0xf4, %dx
	movb	$0, %al
	outb	%al, %dx
1:	hlt
	jmp	1b
