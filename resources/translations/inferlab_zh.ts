<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN" sourcelanguage="en_GB">
<context>
    <name>AnimationDialog</name>
    <message>
        <source>Save as an animation</source>
        <translation>存为动画</translation>
    </message>
    <message>
        <source>GIF</source>
        <translation>GIF</translation>
    </message>
    <message>
        <source>A folder of PNG pictures</source>
        <translation>一个文件夹的 PNG 图片</translation>
    </message>
    <message>
        <source>Frames written</source>
        <translation>已写的帧</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>保存…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>格式</translation>
    </message>
    <message>
        <source>Frames</source>
        <translation>帧数</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>画面</translation>
    </message>
    <message>
        <source>The whole trace in {seconds} s, {rate} frames a second; at most {most} frames.</source>
        <translation>整段记录放映 {seconds} 秒，每秒 {rate} 帧；最多 {most} 帧。</translation>
    </message>
    <message>
        <source>Not written: {reason}</source>
        <translation>没有写成：{reason}</translation>
    </message>
</context>
<context>
    <name>BarsView</name>
    <message>
        <source>category</source>
        <translation>类别</translation>
    </message>
    <message>
        <source>series</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>missing</source>
        <translation>缺失</translation>
    </message>
    <message>
        <source>no data</source>
        <translation>没有数据</translation>
    </message>
    <message>
        <source>no figure</source>
        <translation>没有数字</translation>
    </message>
</context>
<context>
    <name>BitsView</name>
    <message>
        <source>sign</source>
        <translation>符号</translation>
    </message>
    <message>
        <source>exponent</source>
        <translation>指数</translation>
    </message>
    <message>
        <source>mantissa</source>
        <translation>尾数</translation>
    </message>
    <message>
        <source>integer</source>
        <translation>整数</translation>
    </message>
    <message>
        <source>code</source>
        <translation>编码</translation>
    </message>
    <message>
        <source>block scale</source>
        <translation>块 scale</translation>
    </message>
    <message>
        <source>format</source>
        <translation>格式</translation>
    </message>
    <message>
        <source>bits</source>
        <translation>位</translation>
    </message>
    <message>
        <source>roles</source>
        <translation>角色</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>error</source>
        <translation>误差</translation>
    </message>
    <message>
        <source>Bits; arrow keys move, Space flips</source>
        <translation>二进制位；方向键移动，空格翻转</translation>
    </message>
</context>
<context>
    <name>BlockGrid</name>
    <message>
        <source>Blocks; arrow keys move, Space plays</source>
        <translation>块；方向键移动，空格播放</translation>
    </message>
</context>
<context>
    <name>BlockMapView</name>
    <message>
        <source>free</source>
        <translation>空闲</translation>
    </message>
    <message>
        <source>cached</source>
        <translation>缓存</translation>
    </message>
    <message>
        <source>shared</source>
        <translation>共享</translation>
    </message>
    <message>
        <source>{count} owners; their colours repeat</source>
        <translation>{count} 个持有者；颜色有重复</translation>
    </message>
    <message>
        <source>cached, nobody holds it</source>
        <translation>缓存，无人持有</translation>
    </message>
    <message>
        <source>holder</source>
        <translation>持有者</translation>
    </message>
    <message>
        <source>tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>references</source>
        <translation>引用数</translation>
    </message>
    <message>
        <source>block {number}</source>
        <translation>块 {number}</translation>
    </message>
    <message>
        <source>{count} in use</source>
        <translation>占用 {count}</translation>
    </message>
    <message>
        <source>{count} cached</source>
        <translation>缓存 {count}</translation>
    </message>
    <message>
        <source>{count} free</source>
        <translation>空闲 {count}</translation>
    </message>
    <message>
        <source>{count} shared</source>
        <translation>共享 {count}</translation>
    </message>
    <message>
        <source>used blocks {share} full</source>
        <translation>已用的块填充 {share}</translation>
    </message>
    <message>
        <source>event</source>
        <translation>事件</translation>
    </message>
    <message>
        <source>block</source>
        <translation>块</translation>
    </message>
    <message>
        <source>owner</source>
        <translation>持有者</translation>
    </message>
</context>
<context>
    <name>BlockTables</name>
    <message>
        <source>Block tables</source>
        <translation>块表</translation>
    </message>
    <message>
        <source>Block tables: which block holds the owner&apos;s first, second, third …</source>
        <translation>块表：持有者的第一、第二、第三块……在哪个物理块</translation>
    </message>
    <message>
        <source>and {count} more</source>
        <translation>另有 {count} 个</translation>
    </message>
</context>
<context>
    <name>Card</name>
    <message>
        <source>updating</source>
        <translation>更新中</translation>
    </message>
    <message>
        <source>preview</source>
        <translation>预览</translation>
    </message>
    <message>
        <source>earlier values</source>
        <translation>先前的参数</translation>
    </message>
    <message>
        <source>Copy, save, enlarge</source>
        <translation>复制、保存、放大</translation>
    </message>
    <message>
        <source>Copy data</source>
        <translation>复制数据</translation>
    </message>
    <message>
        <source>Copy picture</source>
        <translation>复制图片</translation>
    </message>
    <message>
        <source>Save as PNG…</source>
        <translation>另存为 PNG…</translation>
    </message>
    <message>
        <source>Save as SVG…</source>
        <translation>另存为 SVG…</translation>
    </message>
    <message>
        <source>Save as CSV…</source>
        <translation>另存为 CSV…</translation>
    </message>
    <message>
        <source>Save as a Chrome trace…</source>
        <translation>存为 Chrome 追踪文件…</translation>
    </message>
    <message>
        <source>Enlarge</source>
        <translation>放大</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>保存</translation>
    </message>
</context>
<context>
    <name>Change</name>
    <message>
        <source>{change} pp</source>
        <translation>{change} 个百分点</translation>
    </message>
</context>
<context>
    <name>CodeField</name>
    <message>
        <source>Tab indents, Ctrl+Return runs; Escape, then Tab leaves</source>
        <translation>Tab 缩进，Ctrl+回车运行；先按 Esc 再按 Tab 离开</translation>
    </message>
    <message>
        <source>Edit in a larger window</source>
        <translation>在大窗口中编辑</translation>
    </message>
</context>
<context>
    <name>CodePane</name>
    <message>
        <source>Your edit is kept; the results are of another text, which Revert brings</source>
        <translation>你的修改还在；结果来自另一份代码，点“还原”可看到它</translation>
    </message>
    <message>
        <source>errors</source>
        <translation>错误</translation>
    </message>
    <message>
        <source>warnings</source>
        <translation>警告</translation>
    </message>
    <message>
        <source>good</source>
        <translation>良好</translation>
    </message>
    <message>
        <source>notes</source>
        <translation>说明</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Run what stands here (Ctrl+Return)</source>
        <translation>运行这里的代码（Ctrl+回车）</translation>
    </message>
    <message>
        <source>Revert</source>
        <translation>还原</translation>
    </message>
    <message>
        <source>Back to the text that ran</source>
        <translation>恢复为运行过的代码</translation>
    </message>
    <message>
        <source>Find (Ctrl+F)</source>
        <translation>查找（Ctrl+F）</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Tab indents, Ctrl+Return runs; Escape, then Tab leaves</source>
        <translation>Tab 缩进，Ctrl+回车运行；先按 Esc 再按 Tab 离开</translation>
    </message>
</context>
<context>
    <name>CodeView</name>
    <message>
        <source>pane</source>
        <translation>栏</translation>
    </message>
    <message>
        <source>line</source>
        <translation>行</translation>
    </message>
    <message>
        <source>text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>comes from line</source>
        <translation>来自行</translation>
    </message>
    <message>
        <source>marks</source>
        <translation>标注</translation>
    </message>
</context>
<context>
    <name>CodeWindow</name>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Run what stands here (Ctrl+Return)</source>
        <translation>运行这里的代码（Ctrl+回车）</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
</context>
<context>
    <name>Commands</name>
    <message>
        <source>File</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>Go</source>
        <translation>转到</translation>
    </message>
    <message>
        <source>Note</source>
        <translation>笔记</translation>
    </message>
    <message>
        <source>Lab</source>
        <translation>实验</translation>
    </message>
    <message>
        <source>View</source>
        <translation>视图</translation>
    </message>
    <message>
        <source>Help</source>
        <translation>帮助</translation>
    </message>
    <message>
        <source>Choose model folder…</source>
        <translation>选择模型目录…</translation>
    </message>
    <message>
        <source>Use the default model</source>
        <translation>使用默认模型</translation>
    </message>
    <message>
        <source>Print note to PDF…</source>
        <translation>笔记打印为 PDF…</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>退出</translation>
    </message>
    <message>
        <source>Search notes and titles</source>
        <translation>搜索笔记与标题</translation>
    </message>
    <message>
        <source>Filter the outline</source>
        <translation>筛选大纲</translation>
    </message>
    <message>
        <source>All labs</source>
        <translation>全部实验</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>后退</translation>
    </message>
    <message>
        <source>Forward</source>
        <translation>前进</translation>
    </message>
    <message>
        <source>Previous question</source>
        <translation>上一题</translation>
    </message>
    <message>
        <source>Next question</source>
        <translation>下一题</translation>
    </message>
    <message>
        <source>Find in page</source>
        <translation>在本页查找</translation>
    </message>
    <message>
        <source>Mark as read</source>
        <translation>标为已读</translation>
    </message>
    <message>
        <source>Zoom in</source>
        <translation>放大</translation>
    </message>
    <message>
        <source>Zoom out</source>
        <translation>缩小</translation>
    </message>
    <message>
        <source>Actual size</source>
        <translation>实际大小</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Reset to defaults</source>
        <translation>恢复默认值</translation>
    </message>
    <message>
        <source>Copy link to these values</source>
        <translation>复制这组参数的链接</translation>
    </message>
    <message>
        <source>Show code</source>
        <translation>查看代码</translation>
    </message>
    <message>
        <source>Close lab</source>
        <translation>关闭实验</translation>
    </message>
    <message>
        <source>Outline</source>
        <translation>大纲</translation>
    </message>
    <message>
        <source>Dark theme</source>
        <translation>深色主题</translation>
    </message>
    <message>
        <source>Switch to Chinese / English</source>
        <translation>切换中文 / 英文</translation>
    </message>
    <message>
        <source>Command palette</source>
        <translation>命令面板</translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>快捷键</translation>
    </message>
    <message>
        <source>About InferLab</source>
        <translation>关于 InferLab</translation>
    </message>
</context>
<context>
    <name>Compare</name>
    <message>
        <source>differs from run A</source>
        <translation>与运行 A 不同</translation>
    </message>
    <message>
        <source>Parameters that differ</source>
        <translation>不同的参数</translation>
    </message>
    <message>
        <source>{count} lines</source>
        <translation>{count} 行</translation>
    </message>
    <message>
        <source>+{added} −{gone} lines</source>
        <translation>+{added} −{gone} 行</translation>
    </message>
    <message>
        <source>Figures</source>
        <translation>数字</translation>
    </message>
    <message>
        <source>Back to the runs</source>
        <translation>回到运行记录</translation>
    </message>
    <message>
        <source>Comparison</source>
        <translation>比较</translation>
    </message>
</context>
<context>
    <name>EventLines</name>
    <message>
        <source>before the first event</source>
        <translation>第一个事件之前</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Changed. Back to the default, {value}</source>
        <translation>已改动。恢复默认值 {value}</translation>
    </message>
</context>
<context>
    <name>FindBar</name>
    <message>
        <source>Find in page</source>
        <translation>在本页查找</translation>
    </message>
    <message>
        <source>Previous match</source>
        <translation>上一处</translation>
    </message>
    <message>
        <source>Next match</source>
        <translation>下一处</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>No matches</source>
        <translation>没有匹配</translation>
    </message>
    <message>
        <source>Previous hit (Shift+Return)</source>
        <translation>上一处（Shift+回车）</translation>
    </message>
    <message>
        <source>Next hit (Return)</source>
        <translation>下一处（回车）</translation>
    </message>
    <message>
        <source>Close (Escape)</source>
        <translation>关闭（Esc）</translation>
    </message>
    <message>
        <source>Find in this code</source>
        <translation>在此代码中查找</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
</context>
<context>
    <name>Finder</name>
    <message>
        <source>Search titles and notes, in Chinese or English</source>
        <translation>搜索标题与笔记，中英文皆可</translation>
    </message>
    <message>
        <source>Nothing found. Fewer or shorter words find more.</source>
        <translation>没有找到。词少一些、短一些会找到更多。</translation>
    </message>
    <message>
        <source>Open a lab</source>
        <translation>打开一个实验</translation>
    </message>
    <message>
        <source>No lab has these words in its title.</source>
        <translation>没有标题含有这些词的实验。</translation>
    </message>
    <message>
        <source>failed to load</source>
        <translation>加载失败</translation>
    </message>
    <message>
        <source>Type a command</source>
        <translation>输入命令</translation>
    </message>
    <message>
        <source>No such command.</source>
        <translation>没有这样的命令。</translation>
    </message>
</context>
<context>
    <name>GraphCanvas</name>
    <message>
        <source>Graph; arrow keys go from node to node, Ctrl with + and − zooms</source>
        <translation>计算图；方向键在节点间移动，Ctrl 加 + 与 − 缩放</translation>
    </message>
    <message>
        <source>Laying the graph out…</source>
        <translation>正在排布图…</translation>
    </message>
</context>
<context>
    <name>GraphView</name>
    <message>
        <source>Larger (Ctrl +)</source>
        <translation>放大（Ctrl +）</translation>
    </message>
    <message>
        <source>Smaller (Ctrl −)</source>
        <translation>缩小（Ctrl −）</translation>
    </message>
    <message>
        <source>All in sight (Ctrl 0)</source>
        <translation>显示全部（Ctrl 0）</translation>
    </message>
    <message>
        <source>kind</source>
        <translation>类别</translation>
    </message>
    <message>
        <source>in</source>
        <translation>属于</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>about</source>
        <translation>说明</translation>
    </message>
    <message>
        <source>needs</source>
        <translation>需要</translation>
    </message>
    <message>
        <source>needed by</source>
        <translation>被需要于</translation>
    </message>
    <message>
        <source>row</source>
        <translation>行</translation>
    </message>
    <message>
        <source>name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>from</source>
        <translation>从</translation>
    </message>
    <message>
        <source>to</source>
        <translation>到</translation>
    </message>
    <message>
        <source>group</source>
        <translation>组</translation>
    </message>
    <message>
        <source>node</source>
        <translation>节点</translation>
    </message>
    <message>
        <source>edge</source>
        <translation>边</translation>
    </message>
</context>
<context>
    <name>Gutter</name>
    <message>
        <source>Click or F8: to the next time that the trace is here; with Shift back</source>
        <translation>单击或 F8：转到追踪下一次到达此行之处；按住 Shift 向前</translation>
    </message>
</context>
<context>
    <name>HeatmapView</name>
    <message>
        <source>largest of the cell</source>
        <translation>格内最大值</translation>
    </message>
    <message>
        <source>mean of the cell</source>
        <translation>格内均值</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
</context>
<context>
    <name>HistogramView</name>
    <message>
        <source>levels</source>
        <translation>级别</translation>
    </message>
    <message>
        <source>series</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>count</source>
        <translation>个数</translation>
    </message>
</context>
<context>
    <name>History</name>
    <message>
        <source>defaults</source>
        <translation>默认值</translation>
    </message>
    <message>
        <source>done</source>
        <translation>完成</translation>
    </message>
    <message>
        <source>stopped</source>
        <translation>已停止</translation>
    </message>
    <message>
        <source>failed</source>
        <translation>失败</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>取消置顶</translation>
    </message>
    <message>
        <source>Pin</source>
        <translation>置顶</translation>
    </message>
    <message>
        <source>No stored run yet. Every finished run is stored by itself.</source>
        <translation>还没有运行记录。每次完成的运行会自动存档。</translation>
    </message>
    <message>
        <source>Double-click opens a run. Select two to four (Ctrl or Shift) to compare them.</source>
        <translation>双击打开一次运行；选中两到四次（Ctrl 或 Shift）即可比较。</translation>
    </message>
    <message>
        <source>This run cannot be read: {error}</source>
        <translation>这次运行读不出来：{error}</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>重命名</translation>
    </message>
    <message>
        <source>Name of the run:</source>
        <translation>运行的名称：</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Compare</source>
        <translation>比较</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Back to the lab</source>
        <translation>回到实验</translation>
    </message>
    <message>
        <source>Stored runs</source>
        <translation>运行记录</translation>
    </message>
    <message>
        <source>When</source>
        <translation>时间</translation>
    </message>
    <message>
        <source>Differs from the defaults</source>
        <translation>与默认值的差别</translation>
    </message>
    <message>
        <source>Took</source>
        <translation>耗时</translation>
    </message>
    <message>
        <source>Ended</source>
        <translation>结果</translation>
    </message>
</context>
<context>
    <name>HtmlExport</name>
    <message>
        <source>Started</source>
        <translation>开始</translation>
    </message>
    <message>
        <source>Took</source>
        <translation>耗时</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>随机种子</translation>
    </message>
    <message>
        <source>InferLab</source>
        <translation>InferLab</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>参数</translation>
    </message>
    <message>
        <source>When, where, with what</source>
        <translation>时间、设备与环境</translation>
    </message>
    <message>
        <source>theory {value}</source>
        <translation>理论 {value}</translation>
    </message>
    <message>
        <source>The pictures show event {number} of {count}: {text}</source>
        <translation>图中是第 {number} 个事件（共 {count} 个）：{text}</translation>
    </message>
    <message>
        <source>The pictures show event {number} of {count}, at {time}: {text}</source>
        <translation>图中是第 {number} 个事件（共 {count} 个），{time}：{text}</translation>
    </message>
</context>
<context>
    <name>KeyHelp</name>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>快捷键</translation>
    </message>
</context>
<context>
    <name>LabLink</name>
    <message>
        <source>This lab has no parameter {name}.</source>
        <translation>这个实验没有参数 {name}。</translation>
    </message>
    <message>
        <source>{name} = {value} is not possible; allowed: {allowed}. The default is used.</source>
        <translation>{name} = {value} 不可用；允许：{allowed}。已改用默认值。</translation>
    </message>
</context>
<context>
    <name>LabPanel</name>
    <message>
        <source>This lab needs the model</source>
        <translation>这个实验需要模型</translation>
    </message>
    <message>
        <source>Some values of the link were not used</source>
        <translation>链接中有些值没有采用</translation>
    </message>
    <message>
        <source>This lab cannot be loaded</source>
        <translation>这个实验无法加载</translation>
    </message>
    <message>
        <source>Link copied: {link}</source>
        <translation>已复制链接：{link}</translation>
    </message>
    <message>
        <source>Nothing to export yet: run the lab first.</source>
        <translation>还没有可导出的内容：请先运行实验。</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>导出</translation>
    </message>
    <message>
        <source>The file was not written</source>
        <translation>文件没有写成</translation>
    </message>
    <message>
        <source>Exporting…</source>
        <translation>正在导出…</translation>
    </message>
    <message>
        <source>Saved: {path}</source>
        <translation>已保存：{path}</translation>
    </message>
    <message>
        <source>Preview</source>
        <translation>预览</translation>
    </message>
    <message>
        <source>This cannot be run</source>
        <translation>无法这样运行</translation>
    </message>
    <message>
        <source>The lab failed</source>
        <translation>实验出错</translation>
    </message>
    <message>
        <source>What is shown stays. The next run starts a fresh process.</source>
        <translation>已显示的结果保留；下次运行会启动新进程。</translation>
    </message>
    <message>
        <source>Run again</source>
        <translation>再次运行</translation>
    </message>
    <message>
        <source>Stored run of {time}</source>
        <translation>存档的运行，{time}</translation>
    </message>
    <message>
        <source>InferLab {version}</source>
        <translation>InferLab {version}</translation>
    </message>
    <message>
        <source>Run now</source>
        <translation>现在运行</translation>
    </message>
    <message>
        <source>Stored by another version and not shown: {titles}.</source>
        <translation>由其他版本保存，这一版显示不了：{titles}。</translation>
    </message>
    <message>
        <source>This stored run cannot be read</source>
        <translation>这次存档的运行读不出来</translation>
    </message>
    <message>
        <source>The first results appear here…</source>
        <translation>首批结果将显示在这里…</translation>
    </message>
    <message>
        <source>Not run yet</source>
        <translation>尚未运行</translation>
    </message>
</context>
<context>
    <name>LinesView</name>
    <message>
        <source>series</source>
        <translation>系列</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>Labs cannot be opened</source>
        <translation>实验打不开</translation>
    </message>
    <message>
        <source>A folder with a Llama- or Qwen-family model</source>
        <translation>含有 Llama 或 Qwen 系列模型的目录</translation>
    </message>
    <message>
        <source>InferLab {version}
LLM inference optimisation: a study and lab desk.
Every number shown can be run, traced, or cited.</source>
        <translation>InferLab {version}
大模型推理优化 · 学习与实验台
屏幕上的每个数字都能复现、能溯源、或有出处。</translation>
    </message>
</context>
<context>
    <name>MetricView</name>
    <message>
        <source>How far the figure above lies from what the formula says</source>
        <translation>上面的数字与公式所说相差多少</translation>
    </message>
</context>
<context>
    <name>NotePage</name>
    <message>
        <source>Related questions</source>
        <translation>相关问题</translation>
    </message>
    <message>
        <source>This note is not written yet.</source>
        <translation>这篇笔记还没有写。</translation>
    </message>
    <message>
        <source>Where to go from here:</source>
        <translation>可以先看：</translation>
    </message>
    <message>
        <source>Notes of this section</source>
        <translation>本节的笔记</translation>
    </message>
    <message>
        <source>Labs on this section</source>
        <translation>本节的实验</translation>
    </message>
    <message>
        <source>Nor does its section have a lab.</source>
        <translation>本节也还没有实验。</translation>
    </message>
    <message>
        <source>This note has no English version yet: the Chinese one is shown.</source>
        <translation>这篇笔记还没有英文版：显示的是中文版。</translation>
    </message>
    <message>
        <source>This note has no Chinese version yet: the English one is shown.</source>
        <translation>这篇笔记还没有中文版：显示的是英文版。</translation>
    </message>
    <message>
        <source>This note cannot be shown.</source>
        <translation>这篇笔记无法显示。</translation>
    </message>
    <message>
        <source>Previous question</source>
        <translation>上一题</translation>
    </message>
    <message>
        <source>Next question</source>
        <translation>下一题</translation>
    </message>
    <message>
        <source>Recall</source>
        <translation>记忆</translation>
    </message>
    <message>
        <source>Explain</source>
        <translation>讲清</translation>
    </message>
    <message>
        <source>Design</source>
        <translation>设计</translation>
    </message>
</context>
<context>
    <name>NoteView</name>
    <message>
        <source>Print note to PDF</source>
        <translation>笔记打印为 PDF</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
    <message>
        <source>Open in the browser?</source>
        <translation>在浏览器中打开？</translation>
    </message>
    <message>
        <source>Open this address in the browser?</source>
        <translation>在浏览器中打开这个地址？</translation>
    </message>
    <message>
        <source>Contents</source>
        <translation>目录</translation>
    </message>
    <message>
        <source>Note</source>
        <translation>笔记</translation>
    </message>
</context>
<context>
    <name>Notice</name>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>详情</translation>
    </message>
</context>
<context>
    <name>NumberBox</name>
    <message>
        <source>{text} is not a number.</source>
        <translation>{text} 不是数。</translation>
    </message>
    <message>
        <source>The number must be finite.</source>
        <translation>必须是有限的数。</translation>
    </message>
    <message>
        <source>{text} is not a whole number; nearest {nearest}.</source>
        <translation>{text} 不是整数；最接近的是 {nearest}。</translation>
    </message>
    <message>
        <source>{value} is out of range: allowed {low} to {high}; nearest {nearest}.</source>
        <translation>{value} 超出范围：允许 {low} 到 {high}；最接近的是 {nearest}。</translation>
    </message>
</context>
<context>
    <name>OutlineTree</name>
    <message>
        <source>{found} of {total} questions match</source>
        <translation>{total} 题中匹配 {found} 题</translation>
    </message>
    <message>
        <source>{read} of {total} read · {notes} with a note · {labs} with a lab</source>
        <translation>已读 {read}/{total} · 有笔记 {notes} · 有实验 {labs}</translation>
    </message>
    <message>
        <source>Filter the outline</source>
        <translation>筛选大纲</translation>
    </message>
    <message>
        <source>Outline</source>
        <translation>大纲</translation>
    </message>
</context>
<context>
    <name>OverviewPage</name>
    <message>
        <source>Labs</source>
        <translation>实验</translation>
    </message>
    <message>
        <source>{read} of {total} questions read</source>
        <translation>已读 {read} / {total} 题</translation>
    </message>
    <message>
        <source>Contents</source>
        <translation>目录</translation>
    </message>
    <message>
        <source>{total} questions, {notes} with a note</source>
        <translation>{total} 题，{notes} 题有笔记</translation>
    </message>
    <message>
        <source>Questions</source>
        <translation>问题</translation>
    </message>
</context>
<context>
    <name>PlotView</name>
    <message>
        <source>no data</source>
        <translation>没有数据</translation>
    </message>
</context>
<context>
    <name>Provenance</name>
    <message>
        <source>measured</source>
        <translation>实测</translation>
    </message>
    <message>
        <source>simulated</source>
        <translation>模拟</translation>
    </message>
    <message>
        <source>estimated</source>
        <translation>估算</translation>
    </message>
    <message>
        <source>reported</source>
        <translation>引用</translation>
    </message>
    <message>
        <source>Measured on this device in this run.</source>
        <translation>本次运行在本机上测得。</translation>
    </message>
    <message>
        <source>Computed by an event simulator.</source>
        <translation>由事件模拟器算出。</translation>
    </message>
    <message>
        <source>Computed by a formula.</source>
        <translation>由公式算出。</translation>
    </message>
    <message>
        <source>Reported by the source cited.</source>
        <translation>引自所注来源。</translation>
    </message>
    <message>
        <source>Device: {device}</source>
        <translation>设备：{device}</translation>
    </message>
    <message>
        <source>Source: {source}</source>
        <translation>来源：{source}</translation>
    </message>
    <message>
        <source>Spread: 20th to 80th percentile.</source>
        <translation>范围：第 20 到第 80 百分位。</translation>
    </message>
    <message>
        <source>{count} threads</source>
        <translation>{count} 线程</translation>
    </message>
</context>
<context>
    <name>RunBar</name>
    <message>
        <source>Done in {seconds} s</source>
        <translation>完成，用时 {seconds} s</translation>
    </message>
    <message>
        <source>Stopped. What is shown stays.</source>
        <translation>已停止，已显示的结果保留。</translation>
    </message>
    <message>
        <source>Stopped: the run did not answer, so its process was replaced.</source>
        <translation>已停止：运行没有响应，已换用新进程。</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>失败</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>正在停止…</translation>
    </message>
    <message>
        <source>Running…</source>
        <translation>运行中…</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Run exactly with these values (Ctrl+Return)</source>
        <translation>用这组参数正式运行（Ctrl+Return）</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Stop the run; what is shown stays</source>
        <translation>停止运行，已显示的结果保留</translation>
    </message>
    <message>
        <source>Reset</source>
        <translation>重置</translation>
    </message>
    <message>
        <source>All values back to their defaults</source>
        <translation>全部恢复默认值</translation>
    </message>
    <message>
        <source>Link</source>
        <translation>链接</translation>
    </message>
    <message>
        <source>Copy a link to this lab with these values</source>
        <translation>复制带这组参数的实验链接</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>代码</translation>
    </message>
    <message>
        <source>Show the code of this lab</source>
        <translation>查看这个实验的代码</translation>
    </message>
    <message>
        <source>Runs</source>
        <translation>记录</translation>
    </message>
    <message>
        <source>Stored runs of this lab: reopen, compare</source>
        <translation>这个实验的运行记录：重看、比较</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>导出</translation>
    </message>
    <message>
        <source>Save this run: HTML, JSON, CSV, picture</source>
        <translation>保存这次运行：HTML、JSON、CSV、图片</translation>
    </message>
    <message>
        <source>Web page, one file (HTML)…</source>
        <translation>网页，单个文件（HTML）…</translation>
    </message>
    <message>
        <source>All data (JSON)…</source>
        <translation>全部数据（JSON）…</translation>
    </message>
    <message>
        <source>Tables (CSV in a ZIP)…</source>
        <translation>表格（CSV，打包为 ZIP）…</translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation>图片（PNG）…</translation>
    </message>
    <message>
        <source>Vector picture (SVG)…</source>
        <translation>矢量图（SVG）…</translation>
    </message>
</context>
<context>
    <name>SwitchEditor</name>
    <message>
        <source>on</source>
        <translation>开</translation>
    </message>
    <message>
        <source>off</source>
        <translation>关</translation>
    </message>
</context>
<context>
    <name>TileCanvas</name>
    <message>
        <source>Tensors; arrow keys move, Space plays</source>
        <translation>张量；方向键移动，空格播放</translation>
    </message>
</context>
<context>
    <name>TilesView</name>
    <message>
        <source>Larger (Ctrl +)</source>
        <translation>放大（Ctrl +）</translation>
    </message>
    <message>
        <source>Smaller (Ctrl −)</source>
        <translation>缩小（Ctrl −）</translation>
    </message>
    <message>
        <source>earlier</source>
        <translation>此前</translation>
    </message>
    <message>
        <source>not touched</source>
        <translation>未访问</translation>
    </message>
    <message>
        <source>outside the tensor</source>
        <translation>张量之外</translation>
    </message>
    <message>
        <source>all that is touched</source>
        <translation>被访问的全部元素</translation>
    </message>
    <message>
        <source>event {number}</source>
        <translation>事件 {number}</translation>
    </message>
    <message>
        <source>touches nothing</source>
        <translation>没有访问</translation>
    </message>
    <message>
        <source>elements: {counts}</source>
        <translation>元素：{counts}</translation>
    </message>
    <message>
        <source>place</source>
        <translation>位置</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>touched</source>
        <translation>被访问</translation>
    </message>
    <message>
        <source>not yet</source>
        <translation>尚未</translation>
    </message>
    <message>
        <source>{count} times</source>
        <translation>{count} 次</translation>
    </message>
    <message>
        <source>event</source>
        <translation>事件</translation>
    </message>
    <message>
        <source>tensor</source>
        <translation>张量</translation>
    </message>
    <message>
        <source>row</source>
        <translation>行</translation>
    </message>
    <message>
        <source>start</source>
        <translation>起</translation>
    </message>
    <message>
        <source>stop</source>
        <translation>止</translation>
    </message>
    <message>
        <source>category</source>
        <translation>类别</translation>
    </message>
</context>
<context>
    <name>TimelineView</name>
    <message>
        <source>Lanes</source>
        <translation>泳道</translation>
    </message>
    <message>
        <source>from</source>
        <translation>从</translation>
    </message>
    <message>
        <source>to</source>
        <translation>到</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>lane</source>
        <translation>泳道</translation>
    </message>
    <message>
        <source>start</source>
        <translation>开始</translation>
    </message>
    <message>
        <source>end</source>
        <translation>结束</translation>
    </message>
    <message>
        <source>category</source>
        <translation>类别</translation>
    </message>
    <message>
        <source>label</source>
        <translation>标签</translation>
    </message>
</context>
<context>
    <name>TokenBoxes</name>
    <message>
        <source>Tokens; arrow keys move, Space plays</source>
        <translation>词元；方向键移动，空格播放</translation>
    </message>
</context>
<context>
    <name>TokensView</name>
    <message>
        <source>text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>category</source>
        <translation>类别</translation>
    </message>
    <message>
        <source>value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>appears at event</source>
        <translation>出现于事件</translation>
    </message>
    <message>
        <source>{row}, token {number}</source>
        <translation>{row}，第 {number} 个词元</translation>
    </message>
    <message>
        <source>row</source>
        <translation>行</translation>
    </message>
    <message>
        <source>token</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>event</source>
        <translation>事件</translation>
    </message>
</context>
<context>
    <name>TopBar</name>
    <message>
        <source>Search notes and titles</source>
        <translation>搜索笔记与标题</translation>
    </message>
    <message>
        <source>{n} threads</source>
        <translation>{n} 线程</translation>
    </message>
    <message>
        <source>Labs are measured on this machine</source>
        <translation>实验在这台机器上测量</translation>
    </message>
</context>
<context>
    <name>TraceView</name>
    <message>
        <source>any event</source>
        <translation>任何事件</translation>
    </message>
    <message>
        <source>Previous event of the chosen kind (Shift+←)</source>
        <translation>所选种类的上一个事件（Shift+←）</translation>
    </message>
    <message>
        <source>Back one event (←)</source>
        <translation>退一个事件（←）</translation>
    </message>
    <message>
        <source>On by one event (→)</source>
        <translation>进一个事件（→）</translation>
    </message>
    <message>
        <source>Next event of the chosen kind (Shift+→)</source>
        <translation>所选种类的下一个事件（Shift+→）</translation>
    </message>
    <message>
        <source>Save as an animation…</source>
        <translation>存为动画…</translation>
    </message>
    <message>
        <source>Kind of event that is marked, and stepped to</source>
        <translation>标出并逐个跳到的事件种类</translation>
    </message>
    <message>
        <source>Speed (+ and −)</source>
        <translation>速度（+ 与 −）</translation>
    </message>
    <message>
        <source>Space plays, arrows step, with Shift by kind, Home and End, + and − change the speed</source>
        <translation>空格播放，方向键逐个事件，加 Shift 按种类，Home 与 End 到头尾，+ 与 − 调速</translation>
    </message>
    <message>
        <source>Cursor of the trace</source>
        <translation>记录的光标</translation>
    </message>
    <message>
        <source>Pause (Space)</source>
        <translation>暂停（空格）</translation>
    </message>
    <message>
        <source>Play (Space)</source>
        <translation>播放（空格）</translation>
    </message>
    <message>
        <source>an event a frame</source>
        <translation>每帧一个事件</translation>
    </message>
    <message>
        <source>{count} steps/s</source>
        <translation>{count} 步/秒</translation>
    </message>
    <message>
        <source>no events</source>
        <translation>没有事件</translation>
    </message>
    <message>
        <source>event {number} of {count}</source>
        <translation>事件 {number}，共 {count}</translation>
    </message>
    <message>
        <source>step</source>
        <translation>步</translation>
    </message>
    <message>
        <source>event</source>
        <translation>事件</translation>
    </message>
    <message>
        <source>kind</source>
        <translation>种类</translation>
    </message>
</context>
<context>
    <name>WorkerClient</name>
    <message>
        <source>The lab process sent something that is not a result ({error}); it was restarted.</source>
        <translation>实验进程发来的不是结果（{error}），已重启。</translation>
    </message>
    <message>
        <source>The lab process could not be started: {reason}</source>
        <translation>实验进程无法启动：{reason}</translation>
    </message>
</context>
<context>
    <name>WorkerExit</name>
    <message>
        <source>The lab process ended by itself with exit status {code}.</source>
        <translation>实验进程自行结束，退出状态 {code}。</translation>
    </message>
    <message>
        <source>The lab process was killed (SIGKILL): most likely the system ran out of memory.</source>
        <translation>实验进程被杀死（SIGKILL）：多半是系统内存不足。</translation>
    </message>
    <message>
        <source>The lab process crashed (SIGSEGV): native code touched memory that is not its own.</source>
        <translation>实验进程崩溃（SIGSEGV）：本地代码访问了不属于它的内存。</translation>
    </message>
    <message>
        <source>The lab process aborted (SIGABRT): a native library gave up.</source>
        <translation>实验进程中止（SIGABRT）：某个本地库放弃了。</translation>
    </message>
    <message>
        <source>The lab process crashed (SIGBUS): a mapped file shrank or memory failed.</source>
        <translation>实验进程崩溃（SIGBUS）：映射的文件变短，或内存出错。</translation>
    </message>
    <message>
        <source>The lab process crashed (SIGILL): this CPU lacks an instruction that it used.</source>
        <translation>实验进程崩溃（SIGILL）：它用到的指令这颗 CPU 没有。</translation>
    </message>
    <message>
        <source>The lab process crashed (SIGFPE): native code divided an integer by zero.</source>
        <translation>实验进程崩溃（SIGFPE）：本地代码整数除以零。</translation>
    </message>
    <message>
        <source>The lab process was asked to end by another program (SIGTERM).</source>
        <translation>另一个程序要求实验进程结束（SIGTERM）。</translation>
    </message>
    <message>
        <source>The lab process crashed ({name}).</source>
        <translation>实验进程崩溃（{name}）。</translation>
    </message>
    <message>
        <source>code {code}</source>
        <translation>代码 {code}</translation>
    </message>
</context>
</TS>
