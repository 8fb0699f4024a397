// nobody may read this
